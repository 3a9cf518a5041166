"""How the `kefu` command fails: what it says, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest

from kefu.chat.v1.answer_pb2 import Answer
from kefu.chat.v1.chat_service_pb2 import Delta
from kefu_common.errors import KefuError, Reason
from tests.fakes.gateway import FakeGateway, Status
from tests.rpc.client.conftest import Kefu, Stdin


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
        (["upload", "没有.png"], None, "没有.png: no such file or directory"),
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
        (Status(grpc.StatusCode.RESOURCE_EXHAUSTED, "message larger than max"), "kefu upload FILE"),
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
    gateway.will(Answer())
    gateway.will(Answer())
    kefu("chat", "-q", "hi")
    kefu("chat", "-q", "--token-file", str(tmp_path / "key"), "hi")
    sent = [call.metadata["authorization"] for call in gateway.calls]
    assert sent == ["Bearer from-environment", "Bearer from-file"]
