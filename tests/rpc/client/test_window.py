"""The chat window of `kefu chat`, on a pseudo-terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from kefu.chat.v1.answer_pb2 import Answer
from kefu.chat.v1.chat_service_pb2 import Delta, KeepAlive
from kefu.chat.v1.model_service_pb2 import ListModelsResponse, Model
from kefu.chat.v1.session_service_pb2 import Turn
from kefu.media.v1.picture_pb2 import PictureReport, PictureSize, QualityFinding
from kefu_common.errors import KefuError, Reason
from tests.fakes.gateway import PATIENCE_S, FakeGateway, Gate, Status
from tests.rpc.client.terminal import CTRL_C, CTRL_D, Window

PROMPT = "you> "
PNG = b"\x89PNG\r\n\x1a\n and so on"


@pytest.fixture
def hosting(gateway: FakeGateway) -> FakeGateway:
    gateway.models = ListModelsResponse(models=[Model(name="reader", is_default=True)])
    return gateway


@pytest.fixture
def window(hosting: FakeGateway) -> Iterator[Window]:
    with Window(hosting.address, "chat") as opened:
        opened.wait_for(PROMPT)
        yield opened


def test_a_conversation(hosting: FakeGateway) -> None:
    gate = Gate()
    answer = Answer(text="299 元")
    answer.confidence.score, answer.confidence.method = 0.93, "token_logprobs"
    hosting.will(Delta(text="299"), gate, KeepAlive(), Delta(text=" 元"), answer)
    hosting.will(Answer(text="from the cache"))
    with Window(hosting.address, "chat") as window:
        greeting = window.wait_for(PROMPT)
        assert f"Kefu at {hosting.address}, model reader" in greeting
        window.press("多少钱?\n")
        # The first words are there while the rest is still being written.
        window.wait_for("kefu> 299")
        gate.open()
        shown = window.wait_for(PROMPT)
        assert shown.startswith(" 元")
        assert "0.93 sure · /report tells more" in shown
        window.press("and now?\n")
        assert "kefu> from the cache" in window.wait_for(PROMPT)
        window.press(CTRL_D)
        window.wait_for("kefu chat --session chat-")
        assert window.end() == 0
    first, second = hosting.calls
    assert {call.method for call in hosting.calls} == {"Converse"}
    assert [first.question.parts[0].text, second.question.parts[0].text] == ["多少钱?", "and now?"]
    # One stream, one session, so that the second question knows of the first; the stream names it.
    assert len(hosting.starts) == 1
    assert hosting.starts[0].session_id.startswith("chat-")
    assert hosting.starts[0].session_id in greeting
    assert first.question.request_id != second.question.request_id


def test_without_live_streams_every_question_is_a_call(hosting: FakeGateway) -> None:
    hosting.converses = False
    hosting.will(Delta(text="one"), Answer(text="one"))
    hosting.will(Answer(text="two"))
    with Window(hosting.address, "chat", "--session", "s-1", "--temperature", "0") as window:
        window.wait_for(PROMPT)
        window.press("first\n")
        assert "kefu> one" in window.wait_for(PROMPT)
        window.press("second\n")
        assert "kefu> two" in window.wait_for(PROMPT)
    assert [call.method for call in hosting.calls] == ["StreamChat", "StreamChat"]
    assert {call.question.session_id for call in hosting.calls} == {"s-1"}
    assert hosting.calls[1].question.generation.HasField("temperature")


def test_resuming_says_how_much_is_there(hosting: FakeGateway) -> None:
    hosting.sessions["s-1"] = [Turn(number=1), Turn(number=2)]
    hosting.will(Answer(text="yes"))
    with Window(hosting.address, "chat", "--session", "s-1") as window:
        assert "session s-1: 2 turns so far." in window.wait_for(PROMPT)
        window.press("hi\n").wait_for(PROMPT)
        window.press("/session\n")
        assert "session s-1: 2 turns so far" in window.wait_for(PROMPT)
        window.press("/new\n")
        assert "new session chat-" in window.wait_for(PROMPT)
        hosting.will(Answer(text="I know nothing"))
        window.press("hi\n").wait_for(PROMPT)
        window.press("/session\n")
        assert ": nothing is in it yet" in window.wait_for(PROMPT)
    assert hosting.starts[0].session_id == "s-1"
    assert hosting.starts[1].session_id.startswith("chat-")


@pytest.mark.parametrize("converses", [True, False])
def test_ctrl_c_stops_the_answer_and_not_the_window(
    hosting: FakeGateway, window: Window, converses: bool
) -> None:
    hosting.converses = converses
    gate = Gate()
    hosting.will(Delta(text="once upon"), gate, Answer(text="once upon a time"))
    hosting.will(Answer(text="gladly"))
    window.press("tell me\n").wait_for("kefu> once upon")
    assert gate.reached.wait(PATIENCE_S)
    window.press(CTRL_C)
    assert "stopped" in window.wait_for(PROMPT)
    assert hosting.calls[0].cancelled.wait(PATIENCE_S)
    window.press("shorter, please\n")
    # What is still told of the stopped one is not taken for this one's.
    assert "kefu> gladly" in window.wait_for(PROMPT)
    assert "a time" not in window.press("/session\n").wait_for(PROMPT)


def test_ctrl_c_at_the_prompt_takes_the_line_away(hosting: FakeGateway, window: Window) -> None:
    window.press("half a questi").wait_for("questi")
    window.press_until(CTRL_C, "Ctrl-D leaves")
    window.wait_for(PROMPT)
    window.press("/quit\n")
    assert window.end() == 0
    assert hosting.calls == []


def test_pictures_by_command_by_path_and_by_drop(
    hosting: FakeGateway, window: Window, tmp_path: Path
) -> None:
    first, second, third = (
        tmp_path / name for name in ("订单.png", "my order.png", "it's a page.png")
    )
    for path in (first, second, third):
        path.write_bytes(PNG + path.name.encode())
    hosting.will(
        PictureReport(index=0),
        Answer(text="three", pictures=[PictureReport(index=2)]),
    )
    assert "attached: 订单.png" in window.press(f"/image {first}\n").wait_for("[1 picture]> ")
    # Alone on its line, with a blank in its name and no quotes; then quoted as a file manager does, and a question.
    assert "my order.png" in window.press(f"{second}\n").wait_for("[2 pictures]> ")
    dropped = str(third).replace("'", "'\\''")
    window.press(f"'{dropped}' which one is newer?\n")
    assert "kefu> three" in window.wait_for(PROMPT)
    parts = hosting.calls[0].question.parts
    assert [part.picture.data for part in parts[:3]] == [
        PNG + path.name.encode() for path in (first, second, third)
    ]
    assert parts[3].text == "which one is newer?"
    # Nothing stays attached after an answer.
    hosting.will(Answer(text="ok"))
    window.press("thanks\n").wait_for(PROMPT)
    assert len(hosting.calls[1].question.parts) == 1


def test_pictures_stay_attached_until_they_are_answered(
    hosting: FakeGateway, window: Window, tmp_path: Path
) -> None:
    page = tmp_path / "page.png"
    page.write_bytes(PNG)
    window.press(f"/image {page}\n").wait_for("[1 picture]> ")
    hosting.will(
        KefuError(Reason.PICTURE_DAMAGED, "it is cut", field="question.parts[0].picture.data")
    )
    shown = window.press("what is this?\n").wait_for("[1 picture]> ")
    assert f"kefu: {page}: it is cut" in shown
    hosting.will(Answer(text="a page"))
    # Enter alone sends the picture without a question.
    assert "kefu> a page" in window.press("\n").wait_for(PROMPT)
    assert len(hosting.calls[1].question.parts) == 1
    window.press(f"/image {page}\n").wait_for("[1 picture]> ")
    window.press("/drop\n").wait_for("any more")
    window.wait_for(PROMPT)
    window.press("/upload u-1\n").wait_for("[1 picture]> ")
    hosting.will(Answer(text="an upload"))
    window.press("and this?\n").wait_for(PROMPT)
    assert hosting.calls[2].question.parts[0].picture.upload_id == "u-1"


def test_wrong_lines_are_told_and_send_nothing(
    hosting: FakeGateway, window: Window, tmp_path: Path
) -> None:
    (tmp_path / "there.json").write_text("mine")
    for line, told in (
        ("/nonsense", "there is no command /nonsense; /help lists them"),
        (f"/image {tmp_path}/没有.png", "没有.png: no such file or directory"),
        ("/report", "there is no answer yet"),
        ("/save", "say one file"),
        (f"/save {tmp_path}/new.json", "SESSION_NOT_FOUND"),
        ("/drop", "no picture is attached"),
        ("/help", "/save FILE"),
        ("", PROMPT),
    ):
        window.press(f"{line}\n").wait_for(told)
        if told != PROMPT:
            window.wait_for(PROMPT)
    assert hosting.calls == []
    assert not (tmp_path / "new.json").exists()


def test_a_blank_makes_a_question_of_any_line(hosting: FakeGateway, window: Window) -> None:
    hosting.will(Answer(text="a command"))
    window.press(" /help what is that?\n").wait_for("kefu> a command")
    assert hosting.calls[0].question.parts[0].text == "/help what is that?"


def test_lines_that_are_pasted_together_are_one_question(
    hosting: FakeGateway, window: Window
) -> None:
    hosting.will(Answer(text="both"))
    window.press("\x1b[200~first line\nsecond line\x1b[201~\n").wait_for("kefu> both")
    assert hosting.calls[0].question.parts[0].text == "first line\nsecond line"


def test_save_and_report(hosting: FakeGateway, tmp_path: Path) -> None:
    hosting.sessions["s-1"] = [Turn(number=1)]
    page = tmp_path / "page.png"
    page.write_bytes(PNG)
    report = PictureReport(
        original=PictureSize(width=1080, height=2400),
        quality=[QualityFinding(severity=0.6, advice="太暗，请重拍")],
    )
    hosting.will(report, Answer(text="dark", pictures=[report]))
    with Window(hosting.address, "chat", "--session", "s-1", "--image", str(page)) as window:
        window.wait_for("[1 picture]> ")
        window.press("what is it?\n")
        assert "page.png: 太暗，请重拍" in window.wait_for(PROMPT)
        assert "page.png  1080×2400" in window.press("/report\n").wait_for(PROMPT)
        saved = tmp_path / "kept.json"
        window.press(f"/save {saved}\n").wait_for("bytes are in")
        window.wait_for(PROMPT)
        assert json.loads(saved.read_bytes()) == {"session_id": "s-1", "题": 1}
        saved.write_text("mine")
        window.press(f"/save {saved}\n").wait_for("is there already; say another name")
        assert saved.read_text() == "mine"


def test_an_interrupted_answer_is_shown_whole(hosting: FakeGateway, window: Window) -> None:
    hosting.will(Delta(text="因为超"), KefuError(Reason.TURN_INTERRUPTED, "it went away"))
    hosting.will(Delta(text="因为"), Answer(text="因为超过 7 天。"))
    shown = window.press("why?\n").wait_for(PROMPT)
    assert "kefu> 因为超\r\nThe gateway broke off here. The whole answer follows:\r\n" in shown
    assert "follows:\r\n因为超过 7 天。\r\n" in shown
    assert len({call.question.request_id for call in hosting.calls}) == 1
    assert len(hosting.starts) == 1


def test_a_stream_that_breaks_is_opened_again(hosting: FakeGateway, window: Window) -> None:
    hosting.will(Delta(text="half"), Status(grpc.StatusCode.UNAVAILABLE, "reset"))
    hosting.will(Answer(text="half and half"))
    shown = window.press("well?\n").wait_for(PROMPT)
    assert "The gateway broke off here" in shown
    assert "half and half" in shown
    # The same id: a gateway that had answered is not made to answer twice.
    assert len({call.question.request_id for call in hosting.calls}) == 1
    assert hosting.starts[0] == hosting.starts[1]


def test_a_gateway_that_stays_away_leaves_the_window_open(hosting: FakeGateway) -> None:
    with Window(hosting.address, "chat", "--timeout", "30") as window:
        window.wait_for(PROMPT)
        for _ in range(3):
            hosting.will(Status(grpc.StatusCode.UNAVAILABLE, "nobody here"))
        shown = window.press("hello?\n").wait_for(PROMPT)
        assert "cannot reach a gateway" in shown
        hosting.will(Answer(text="back"))
        assert "kefu> back" in window.press("hello?\n").wait_for(PROMPT)


def test_a_gateway_that_is_not_there_at_all(hosting: FakeGateway, tmp_path: Path) -> None:
    with Window(hosting.address, "chat", KEFU_ADDRESS=f"unix:{tmp_path}/nobody.sock") as window:
        window.wait_for("kefu: cannot reach a gateway")
        assert window.end() == 1
