"""`kefu chat` with a question, against a gateway on a real port: what it sends and what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kefu.chat.v1.answer_pb2 import Answer, FinishReason, RiskLevel
from kefu.chat.v1.chat_service_pb2 import Delta
from kefu.media.v1.picture_pb2 import Box, Crop, PictureReport, PictureSize, QualityFinding
from kefu_client.cli.table import width
from kefu_common.errors import KefuError, Reason
from tests.fakes.gateway import FakeGateway
from tests.rpc.client.conftest import Kefu, Stdin


def _report() -> PictureReport:
    return PictureReport(
        index=0,
        media_type="image/png",
        original=PictureSize(width=1080, height=2400),
        prepared=PictureSize(width=512, height=1078),
        original_bytes=90_000,
        prepared_bytes=35_000,
        crop=Crop(top_px=92, confidence=0.97, kind="status_bar"),
        quality=[QualityFinding(severity=0.6, advice="太暗，请开灯重拍")],
        milliseconds=31.46,
    )


def _page(index: int, document: int, page: int) -> PictureReport:
    report = _report()
    report.index, report.document, report.page = index, document, page
    return report


def _answer() -> Answer:
    answer = Answer(
        request_id="r-1",
        text="因为超过 7 天。",
        finish_reason=FinishReason.FINISH_REASON_STOP,
        pictures=[_report()],
        model="reader",
        joined_requests=1,
    )
    answer.confidence.score = 0.934
    answer.confidence.weakest = 0.41
    answer.confidence.method = "token_logprobs"
    answer.evidence.add(text="审核结果 拒绝", box=Box(left=40, top=300, right=500, bottom=360))
    answer.evidence.add(text="order id 7", box=Box(left=40, top=400, right=300, bottom=460))
    answer.handover.reason = "low_confidence"
    answer.handover.note = "weakest token below 0.5"
    answer.usage.prompt_text_tokens = 412
    answer.usage.completion_tokens = 9
    answer.timings.add(stage="admit", milliseconds=0.21)
    answer.timings.add(stage="infer", milliseconds=1234.5)
    return answer


def test_the_answer_comes_first_and_then_the_report(
    gateway: FakeGateway, kefu: Kefu, page: str
) -> None:
    gateway.will(_report(), Delta(text="因为超过"), Delta(text=" 7 天。"), _answer())
    code, out, err = kefu("chat", "--image", page, "为什么被拒?")
    assert (code, err) == (0, "")
    text, _, report = out.partition("\n\n")
    assert text == "因为超过 7 天。"
    for expected in (
        "退款.png  1080×2400  87.9 KiB      512×1078  34.2 KiB  92 px top (status_bar, 97% sure)  31.5 ms",
        "太暗，请开灯重拍 (60% bad)",
        "审核结果 拒绝  at 40,300 to 500,360",
        "confidence  0.93, weakest token 0.41 (token_logprobs)",
        "hand-over   to a person: low_confidence. weakest token below 0.5",
        "tokens      412 text + 0 visual → 9 answer",
        "request     r-1",
        "infer     1,234.5 ms",
        "together  1,234.7 ms",
    ):
        assert expected in report
    first, second = (line for line in report.splitlines() if " at 40," in line)
    # Chinese and English rows: what stands behind them begins in the same column.
    assert width(first.partition(" at ")[0]) == width(second.partition(" at ")[0])
    assert "\x1b" not in out


def test_a_document_is_sent_as_it_is_and_its_pages_are_named(
    gateway: FakeGateway, kefu: Kefu, page: str, tmp_path: Path
) -> None:
    document = tmp_path / "发票.pdf"
    document.write_bytes(b"%PDF-1.7 and so on")
    answer = _answer()
    del answer.pictures[:]
    answer.pictures.extend([_page(0, 1, 1), _page(1, 1, 2), _page(2, 0, 0), _page(3, 2, 1)])
    answer.evidence[0].picture = 1
    gateway.will(answer)
    given = ("--image", str(document), "--image", page, "--image", str(document))
    code, out, _ = kefu("chat", *given, "?")
    assert code == 0
    first, second, third, _ = gateway.calls[0].question.parts
    assert first.picture.data == third.picture.data == b"%PDF-1.7 and so on"
    assert second.picture.data != first.picture.data
    rows = [line.split("  ")[1] for line in out.splitlines() if "1080×2400" in line]
    assert rows == ["发票.pdf p. 1", "发票.pdf p. 2", "退款.png", "发票.pdf p. 1"]
    assert "发票.pdf p. 2  审核结果 拒绝" in out


def test_the_report_has_a_line_for_everything_that_was_decided(
    gateway: FakeGateway, kefu: Kefu
) -> None:
    answer = Answer(text="ok", risk=RiskLevel.RISK_LEVEL_HIGH, joined_requests=3, cached=True)
    answer.finish_reason = FinishReason.FINISH_REASON_LENGTH
    answer.decisions.add(rule="refund_window", outcome="拒绝", reason="more than\n7 days")
    answer.action.type = "refund"
    answer.action.amount = "158.80"
    answer.action.currency = "CNY"
    answer.fields.update({"订单编号": "123", "items": ["茶", 2]})
    answer.usage.dropped_rounds = 2
    answer.session_id = "s-1"
    answer.debug.update({"prompt": "line\x1b[2J"})
    gateway.will(answer)
    report = kefu("chat", "hi")[1]
    for expected in (
        "refund_window  拒绝               more than 7 days",
        "suggested      refund 158.80 CNY",
        "risk           high",
        'items     ["茶", 2.0]\n  订单编号  123',
        "confidence  unknown",
        "the limit of tokens was reached (--max-tokens)",
        "0 earlier rounds, 2 left out",
        "3 requests got this one answer",
        ", from the cache",
        "session     s-1",
        '"prompt": "line\\u001b[2J"',
    ):
        assert expected in report


def test_quiet_is_the_answer_alone(gateway: FakeGateway, kefu: Kefu) -> None:
    gateway.will(Delta(text="因为超过 7 天。"), _answer())
    assert kefu("chat", "-q", "为什么?") == (0, "因为超过 7 天。\n", "")


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        ([], "因为超过 7 天。\n"),
        (["因为"], "因为超过 7 天。\n"),
        (
            ["因为你是谁"],
            "因为你是谁\nThis answer was replaced after it was written:\n因为超过 7 天。\n",
        ),
    ],
    ids=["from the cache", "cut short", "replaced by a rule"],
)
def test_the_whole_answer_wins_over_its_pieces(
    gateway: FakeGateway, kefu: Kefu, pieces: list[str], shown: str
) -> None:
    gateway.will(*(Delta(text=piece) for piece in pieces), _answer())
    assert kefu("chat", "-q", "为什么?")[1] == shown


def test_an_interrupted_answer_is_shown_whole(gateway: FakeGateway, kefu: Kefu) -> None:
    interruption = KefuError(Reason.TURN_INTERRUPTED, "gone", retry_after=0.01)
    script = ((Delta(text="因为"), interruption), (Delta(text="因"), _answer()))
    for steps in (*script, *script):
        gateway.will(*steps)
    assert kefu("chat", "-q", "为什么?") == (
        0,
        "因为\nThe gateway broke off here. The whole answer follows:\n因为超过 7 天。\n",
        "",
    )
    lines = [json.loads(line) for line in kefu("chat", "--json-lines", "为什么?")[1].splitlines()]
    assert [list(line) for line in lines] == [["delta"], ["interrupted"], ["answer"]]
    assert lines[1]["interrupted"]["reason"] == "TURN_INTERRUPTED"


def test_rows_of_earlier_rounds_are_told_apart(gateway: FakeGateway, kefu: Kefu, page: str) -> None:
    answer = _answer()
    answer.evidence[0].rounds_back = 1
    answer.evidence.add(text="older", rounds_back=3, picture=2)
    gateway.will(answer)
    report = kefu("chat", "--image", page, "the first one?")[1]
    for name, row in (
        ("picture 0 of the round before", "审核结果 拒绝"),
        ("退款.png", "order id 7"),
        ("picture 2 of 3 rounds before", "older"),
    ):
        assert any(name in line and row in line for line in report.splitlines())


def test_json_is_one_whole_document(gateway: FakeGateway, kefu: Kefu, page: str) -> None:
    gateway.will(_answer())
    code, out, err = kefu("chat", "--json", "--image", page, "为什么被拒?")
    assert (code, err, gateway.calls[0].method) == (0, "", "Chat")
    document = json.loads(out)
    assert document["text"] == "因为超过 7 天。"
    assert document["finish_reason"] == "FINISH_REASON_STOP"
    assert document["pictures"][0]["crop"]["top_px"] == 92
    assert document["evidence"][0]["text"] == "审核结果 拒绝"
    # Also what is empty is there: a reader need not know which fields protobuf leaves out.
    assert document["cached"] is False
    assert document["decisions"] == []
    assert "因为" in out


def test_json_lines_are_the_events(gateway: FakeGateway, kefu: Kefu, page: str) -> None:
    gateway.will(_report(), Delta(text="因", tokens=1), _answer())
    code, out, _ = kefu("chat", "--json-lines", "--image", page, "为什么被拒?")
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [list(event) for event in events] == [["picture"], ["delta"], ["answer"]]
    assert events[1]["delta"] == {"text": "因", "tokens": 1}


def test_every_option_reaches_the_question(
    gateway: FakeGateway, kefu: Kefu, page: str, tmp_path: Path
) -> None:
    (tmp_path / "schema.json").write_text('{"type": "object"}')
    (tmp_path / "facts.json").write_text('{"level": "金"}')
    gateway.will(_answer())
    options = (
        "chat --model reader --scenario refund --session s-1 --request-id r-1 --temperature 0 "
        "--max-tokens 64 --top-p 0.9 --seed 7 --stop 。 --stop END --debug --language en "
        f"--timeout 9 --no-crop --elements --schema {tmp_path}/schema.json "
        f"--context {tmp_path}/facts.json"
    )
    assert kefu(*options.split(), "--image", page, "--image", page, "hi")[0] == 0
    call = gateway.calls[0]
    asked = call.question
    assert (asked.model, asked.scenario, asked.session_id) == ("reader", "refund", "s-1")
    assert (asked.request_id, asked.debug, asked.language) == ("r-1", True, "en")
    assert [part.WhichOneof("content") for part in asked.parts] == ["picture", "picture", "text"]
    assert asked.parts[0].picture.crop_mode == 3  # CROP_MODE_FORBID
    assert asked.parts[0].picture.find_elements
    generation = asked.generation
    assert (generation.temperature, generation.max_tokens, generation.seed) == (0.0, 64, 7)
    assert generation.top_p == pytest.approx(0.9)
    assert list(generation.stop) == ["。", "END"]
    assert generation.json_schema == '{"type": "object"}'
    assert asked.context["level"] == "金"
    assert call.seconds_left < 9.5  # rounded up on the wire


@pytest.mark.parametrize("arguments", [("chat", "-q"), ("chat", "-q", "-")])
def test_the_question_may_come_on_stdin(
    gateway: FakeGateway, kefu: Kefu, arguments: tuple[str, ...]
) -> None:
    gateway.will(_answer())
    assert kefu(*arguments, stdin=Stdin("多少钱?\n".encode()))[0] == 0
    assert gateway.calls[0].question.parts[0].text == "多少钱?"


def test_pictures_may_go_without_a_question(gateway: FakeGateway, kefu: Kefu, page: str) -> None:
    gateway.will(_answer())
    assert kefu("chat", "-q", "--image", page)[0] == 0
    assert len(gateway.calls[0].question.parts) == 1
