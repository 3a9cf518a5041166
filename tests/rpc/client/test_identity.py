"""Who the client says it is: keys, tokens that change, certificates; and what it tells of a refusal."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from kefu.chat.v1.answer_pb2 import Answer
from kefu_client import InputError, KefuClient
from kefu_client.cli.command import run
from kefu_common.errors import KefuError, Reason
from tests.fakes.gateway import FakeGateway
from tests.fixtures.authority import Authority
from tests.rpc.client.conftest import Kefu

DAY = 50_000.0


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KefuError(Reason.CREDENTIAL_INVALID, "no"), "Put your key into KEFU_TOKEN"),
        (KefuError(Reason.PERMISSION_DENIED, "no"), "but not for this"),
        (KefuError(Reason.IDENTITY_UNAVAILABLE, "no", retry_after=DAY), "cannot reach whoever"),
        (
            KefuError(Reason.QUOTA_EXCEEDED, "no", quota="turns_per_second", retry_after=DAY),
            "Ask more slowly",
        ),
        (
            KefuError(Reason.QUOTA_EXCEEDED, "no", quota="tokens_per_day", retry_after=DAY),
            "Try again in 13 h 53 min.",
        ),
        (
            KefuError(Reason.QUOTA_EXCEEDED, "no", quota="concurrent_turns", retry_after=600),
            "Try again in 10 min.",
        ),
        (KefuError(Reason.QUOTA_EXCEEDED, "no", quota="new", retry_after=DAY), "More than your"),
    ],
)
def test_a_refusal_says_what_to_do(
    gateway: FakeGateway, kefu: Kefu, error: KefuError, told: str
) -> None:
    gateway.will(error)
    code, out, err = kefu("chat", "hi")
    assert (code, out) == (1, "")
    assert told in err
    assert error.reason.value in err


def test_a_short_quota_is_waited_for(gateway: FakeGateway, kefu: Kefu) -> None:
    gateway.will(KefuError(Reason.QUOTA_EXCEEDED, "wait", retry_after=0.01))
    gateway.will(Answer(text="now"))
    assert kefu("chat", "-q", "hi") == (0, "now\n", "")


def test_a_token_that_expires_is_asked_for_before_each_call(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    tokens = iter(["first", "second", "fünf"])
    with KefuClient(gateway.address, token=lambda: next(tokens)) as client:
        for _ in range(2):
            gateway.will(Answer())
            client.ask("hi")
        with pytest.raises(InputError, match="characters that no token has"):
            client.ask("hi")
    sent = [call.metadata["authorization"] for call in gateway.calls]
    assert sent == ["Bearer first", "Bearer second"]


def test_the_tokens_file_may_be_named_by_a_variable(
    gateway: FakeGateway, kefu: Kefu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("projected\n")
    monkeypatch.setenv("KEFU_TOKEN_FILE", str(tmp_path / "token"))
    gateway.will(Answer())
    kefu("chat", "-q", "hi")
    assert gateway.calls[0].metadata["authorization"] == "Bearer projected"
    monkeypatch.setenv("KEFU_TOKEN_FILE", str(tmp_path / "nothing"))
    code, _, err = kefu("chat", "-q", "hi")
    assert code == 2
    assert "nothing: no such file" in err


def test_certificates_by_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what is told where the gateway wants one and none was shown: gRPC's own words are "Socket closed"."""
    authority = Authority(tmp_path)
    server = authority.issue("server", dns=["localhost"], ips=["127.0.0.1"])
    mine = authority.issue("me")
    credentials = grpc.ssl_server_credentials(
        [(server.key.read_bytes(), server.certificate.read_bytes())],
        authority.path.read_bytes(),
        require_client_auth=True,
    )
    with FakeGateway(credentials=credentials) as gateway:
        monkeypatch.setenv("KEFU_ADDRESS", gateway.address)
        monkeypatch.setenv("KEFU_CA", str(authority.path))
        assert run(["chat", "-q", "hi"]) == 1
        assert "--cert, --key" in capsys.readouterr().err
        monkeypatch.setenv("KEFU_CERT", str(mine.certificate))
        monkeypatch.setenv("KEFU_KEY", str(mine.key))
        gateway.will(Answer(text="known"))
        assert run(["chat", "-q", "hi"]) == 0
        assert capsys.readouterr().out == "known\n"
