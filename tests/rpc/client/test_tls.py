"""TLS and mutual TLS over the wire, with certificates made for the test."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import grpc
import pytest

from kefu.chat.v1.answer_pb2 import Answer
from kefu_client import KefuCallError, KefuClient, Tls
from kefu_client.cli.command import run
from tests.fakes.gateway import FakeGateway

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="the openssl program makes this test's certificates"
)


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)


def _authority(folder: Path) -> None:
    _openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-days", "1", "-subj", "/CN=test authority"),
        *("-keyout", f"{folder}/ca-key.pem", "-out", f"{folder}/ca.pem"),
    )


def _certificate(folder: Path, name: str) -> None:
    extension = folder / f"{name}.ext"
    extension.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    _openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-subj", f"/CN={name}"),
        *("-keyout", f"{folder}/{name}-key.pem", "-out", f"{folder}/{name}.csr"),
    )
    _openssl(
        *("x509", "-req", "-days", "1", "-in", f"{folder}/{name}.csr", "-extfile", str(extension)),
        *("-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca-key.pem", "-CAcreateserial"),
        *("-out", f"{folder}/{name}.pem"),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("certificates")
    _authority(made)
    _certificate(made, "server")
    _certificate(made, "client")
    return made


def _server(folder: Path, *, mutual: bool = False) -> grpc.ServerCredentials:
    pair = ((folder / "server-key.pem").read_bytes(), (folder / "server.pem").read_bytes())
    authority = (folder / "ca.pem").read_bytes() if mutual else None
    return grpc.ssl_server_credentials([pair], authority, require_client_auth=mutual)


def test_a_server_of_a_private_authority(folder: Path) -> None:
    with FakeGateway(credentials=_server(folder)) as gateway:
        gateway.will(Answer(text="over TLS"))
        with KefuClient(gateway.address, tls=Tls(ca=folder / "ca.pem"), token="k") as client:
            assert client.ask("hi").text == "over TLS"
        assert gateway.calls[0].metadata["authorization"] == "Bearer k"


def test_a_server_that_nobody_vouches_for_is_not_spoken_to(folder: Path) -> None:
    with (
        FakeGateway(credentials=_server(folder)) as gateway,
        KefuClient(gateway.address, tls=Tls()) as client,
        pytest.raises(KefuCallError) as caught,
    ):
        client.ask("hi")
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert gateway.calls == []


def test_mutual_tls_lets_in_only_who_has_a_certificate(folder: Path) -> None:
    with FakeGateway(credentials=_server(folder, mutual=True)) as gateway:
        gateway.will(Answer(text="known"))
        known = Tls(ca=folder / "ca.pem", cert=folder / "client.pem", key=folder / "client-key.pem")
        with KefuClient(gateway.address, tls=known) as client:
            assert client.ask("hi").text == "known"
        unknown = Tls(ca=folder / "ca.pem")
        with (
            KefuClient(gateway.address, tls=unknown) as client,
            pytest.raises(KefuCallError) as caught,
        ):
            client.ask("hi")
        assert caught.value.code is grpc.StatusCode.UNAVAILABLE
        assert len(gateway.calls) == 1


def test_the_commands_options(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeGateway(credentials=_server(folder, mutual=True)) as gateway:
        gateway.will(Answer(text="known"))
        known = ["--ca", f"{folder}/ca.pem", "--cert", f"{folder}/client.pem"]
        known += ["--key", f"{folder}/client-key.pem"]
        assert run(["chat", "-q", "--address", gateway.address, *known, "hi"]) == 0
        assert capsys.readouterr().out == "known\n"
        assert run(["chat", "-q", "--address", gateway.address, "--tls", "hi"]) == 1
        assert "no trusted TLS connection" in capsys.readouterr().err
        assert run(["chat", "--address", gateway.address, *known[:4], "hi"]) == 2
        assert "needed together" in capsys.readouterr().err
        assert run(["chat", "--address", gateway.address, "--ca", "nowhere.pem", "hi"]) == 2
        assert "nowhere.pem: no such file" in capsys.readouterr().err
