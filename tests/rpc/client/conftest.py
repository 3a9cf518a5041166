"""A fake gateway, a client of it and the command, for every test of the client over the wire."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kefu_client import KefuClient
from kefu_client.cli.command import run
from tests.fakes.gateway import FakeGateway

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
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway() as running:
        yield running


@pytest.fixture
def client(gateway: FakeGateway) -> Iterator[KefuClient]:
    with KefuClient(gateway.address, timeout=60) as connected:
        yield connected


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
