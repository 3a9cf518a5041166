"""The `kefu` command against a gateway on a real port: what it sends, what it prints, how it ends."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.fakes.gateway import FakeGateway, Status

from kefu.chat.v1.answer_pb2 import Answer, FinishReason, RiskLevel
from kefu.chat.v1.chat_service_pb2 import Delta
from kefu.chat.v1.model_service_pb2 import Limits, ListModelsResponse, Model, ModelState
from kefu.media.v1.picture_pb2 import Box, Crop, PictureReport, PictureSize, QualityFinding
from kefu_client.cli.command import run
from kefu_client.cli.table import width
from kefu_common.errors import KefuError, Reason

Output = tuple[int, str, str]
Kefu = Callable[..., Output]


class Stdin(io.TextIOWrapper):
    """What is piped into the command, or a person's keyboard."""

    def __init__(self, data: bytes, keyboard: bool = False) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8")
        self._keyboard = keyboard

    def isatty(self) -> bool:
        return self._keyboard


@pytest.fixture
def kefu(
    gateway: FakeGateway, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Kefu:
    """Runs the command against the gateway; gives exit code, stdout, stderr."""
    monkeypatch.setenv("KEFU_ADDRESS", gateway.address)
    monkeypatch.delenv("KEFU_TOKEN", raising=False)

    def call(*arguments: str, stdin: Stdin | None = None) -> Output:
        monkeypatch.setattr("sys.stdin", stdin or Stdin(b"", keyboard=True))
        code = run(list(arguments))
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


@pytest.fixture
def page(tmp_path: Path) -> str:
    path = tmp_path / "退款.png"
    path.write_bytes(b"a page")
    return str(path)


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


@pytest.mark.parametrize(
    ("arguments", "stdin", "told"),
    [
        (["chat"], None, "there is no question"),
        (["chat", "-"], b" \n", "there is no question"),
        (["chat"], b"\xff\xfe", "not UTF-8"),
        (["chat", "--image", "没有.png", "hi"], None, "没有.png: no such file or directory"),
        (["chat", "--image", ".", "hi"], None, ".: is a directory"),
        (["chat", "--context", "BAD", "hi"], None, "line 1: Expecting"),
        (["chat", "--context", "LIST", "hi"], None, "context is a JSON object"),
        (["chat", "--max-tokens", "-1", "hi"], None, "max_tokens"),
        (["chat", "--address", "http://x:1", "hi"], None, "without http://"),
        (["chat", "--token-file", "nowhere", "hi"], None, "nowhere: no such file"),
    ],
)
def test_a_wrong_command_says_what_is_wrong_and_calls_nobody(
    gateway: FakeGateway,
    kefu: Kefu,
    tmp_path: Path,
    arguments: list[str],
    stdin: bytes | None,
    told: str,
) -> None:
    (tmp_path / "BAD").write_text("{'level': 1}")
    (tmp_path / "LIST").write_text("[1]")
    arguments = [str(tmp_path / each) if each in ("BAD", "LIST") else each for each in arguments]
    code, out, err = kefu(*arguments, stdin=None if stdin is None else Stdin(stdin))
    assert (code, out) == (2, "")
    assert err.startswith("kefu: ")
    assert told in err
    assert gateway.calls == []


@pytest.mark.parametrize(
    "arguments",
    [["chat", "--timeout", "0", "hi"], ["chat", "--timeout", "nan", "hi"], ["nonsense"], []],
)
def test_wrong_usage_exits_with_2(kefu: Kefu, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        kefu(*arguments)
    assert caught.value.code == 2


def test_an_error_names_the_file_the_reason_and_what_helps(
    gateway: FakeGateway, kefu: Kefu, page: str
) -> None:
    gateway.will(
        KefuError(
            Reason.PICTURE_FORMAT_UNSUPPORTED,
            "the bytes are no picture that Kefu reads",
            field="question.parts[1].picture.data",
        )
    )
    code, out, err = kefu("chat", "--request-id", "r-9", "--image", page, "--image", page, "hi")
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        f"kefu: {page}: the bytes are no picture that Kefu reads",
        "      (PICTURE_FORMAT_UNSUPPORTED, request r-9)",
        "      Save it as JPEG, PNG, WebP or BMP first.",
    ]


def test_an_error_in_the_middle_keeps_what_was_said(gateway: FakeGateway, kefu: Kefu) -> None:
    gateway.will(Delta(text="因为"), KefuError(Reason.MODEL_SERVER_UNAVAILABLE, "it broke off"))
    code, out, err = kefu("chat", "hi")
    assert (code, out) == (1, "因为")
    assert "it broke off" in err
    assert "`kefu health` says what is missing." in err
    assert "Try again in 2 s." in err


@pytest.mark.parametrize("form", ["--json", "--json-lines"])
def test_a_failed_call_is_json_as_well(gateway: FakeGateway, kefu: Kefu, form: str) -> None:
    gateway.will(KefuError(Reason.MODEL_UNKNOWN, "no such model", model="qwen9", hosted="reader"))
    code, out, err = kefu("chat", form, "--request-id", "r-1", "hi")
    assert code == 1
    assert json.loads(out) == {
        "error": {
            "code": "NOT_FOUND",
            "reason": "MODEL_UNKNOWN",
            "message": "no such model",
            "field": None,
            "retry_after_seconds": None,
            "metadata": {"model": "qwen9", "hosted": "reader"},
            "request_id": "r-1",
        }
    }
    assert "`kefu models` lists" in err


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (Status(grpc.StatusCode.UNIMPLEMENTED, "?"), "is it a Kefu gateway?"),
        (Status(grpc.StatusCode.DEADLINE_EXCEEDED, "?"), "--timeout"),
        (Status(grpc.StatusCode.PERMISSION_DENIED, "blocked"), "PERMISSION_DENIED: blocked"),
    ],
)
def test_a_failure_that_is_not_kefus(
    gateway: FakeGateway, kefu: Kefu, status: Status, told: str
) -> None:
    gateway.will(status)
    code, _, err = kefu("chat", "hi")
    assert code == 1
    assert told in err


def test_a_busy_gateway_is_asked_again(gateway: FakeGateway, kefu: Kefu) -> None:
    gateway.will(KefuError(Reason.OVERLOADED, "too busy", retry_after=0.01))
    gateway.will(Answer(text="now"))
    assert kefu("chat", "-q", "hi") == (0, "now\n", "")
    assert len(gateway.calls) == 2


def test_nobody_listens(kefu: Kefu, tmp_path: Path) -> None:
    for command in (["chat", "hi"], ["models"], ["health"]):
        code, out, err = kefu(*command, "--address", f"unix:{tmp_path}/nobody.sock")
        assert (code, out) == (1, "")
        assert "cannot reach a gateway" in err
        assert "./dev up" in err


def test_the_token_comes_from_a_file_or_the_environment(
    gateway: FakeGateway, kefu: Kefu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("from-file\n")
    monkeypatch.setenv("KEFU_TOKEN", "from-environment")
    gateway.will(_answer())
    gateway.will(_answer())
    kefu("chat", "-q", "hi")
    kefu("chat", "-q", "--token-file", str(tmp_path / "key"), "hi")
    sent = [call.metadata["authorization"] for call in gateway.calls]
    assert sent == ["Bearer from-environment", "Bearer from-file"]


def test_models(gateway: FakeGateway, kefu: Kefu) -> None:
    gateway.models = ListModelsResponse(
        models=[
            Model(
                name="reader",
                description="reads text on pictures",
                engine="reader",
                state=ModelState.MODEL_STATE_READY,
                context_tokens=4096,
                max_pictures=5,
                max_pixels=1_000_000,
                sees=["text"],
                licence="Apache-2.0",
                is_default=True,
            )
        ],
        limits=Limits(picture_bytes=20 * 2**20, message_bytes=21 * 2**20, pictures=10, parts=20),
    )
    code, out, _ = kefu("models")
    assert code == 0
    assert "reader (default)  ready  reader    4,096         5   1,000,000  text  Apache-2.0" in out
    assert "20 MiB and 0 pixels a picture" in out
    document: dict[str, Any] = json.loads(kefu("models", "--json")[1])
    assert document["models"][0]["state"] == "MODEL_STATE_READY"
    assert document["limits"]["pictures"] == 10


def test_health_says_what_is_missing(gateway: FakeGateway, kefu: Kefu) -> None:
    for service in ("", "kefu.chat.v1.ChatService", "kefu.dependency.preprocess"):
        gateway.is_healthy(service)
    code, out, _ = kefu("health")
    assert code == 0
    assert "the model server        kefu.dependency.triton      not told" in out
    gateway.is_healthy("", False)
    gateway.is_healthy("kefu.dependency.triton", False)
    code, out, _ = kefu("health")
    assert code == 1
    assert "the model server        kefu.dependency.triton      NOT SERVING" in out
    code, out, _ = kefu("health", "--json")
    assert code == 1
    assert json.loads(out) == {
        "": "NOT_SERVING",
        "kefu.chat.v1.ChatService": "SERVING",
        "kefu.dependency.triton": "NOT_SERVING",
        "kefu.dependency.preprocess": "SERVING",
    }


def test_version(kefu: Kefu) -> None:
    code, out, _ = kefu("version")
    assert code == 0
    assert out.startswith("kefu 0.")
