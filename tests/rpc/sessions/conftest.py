"""SessionService over real gRPC, on SQLite and a folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from kefu.chat.v1 import session_service_pb2_grpc as pb_grpc
from kefu_common.server import CallInterceptor, channel_options
from kefu_gateway.adapters.stores.objects import open_objects
from kefu_gateway.adapters.stores.pictures import ObjectPictures
from kefu_gateway.adapters.stores.sqlite import SqliteSessions
from kefu_gateway.servicers.sessions import SessionServicer
from tests.contract.stores.builders import Clock


def tenant_of(context: Any) -> str:
    """As the caller says: who may say so is not what is tested here."""
    return str(dict(context.invocation_metadata() or ()).get("tenant", ""))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[SqliteSessions]:
    async with SqliteSessions.open(tmp_path / "sessions.db", clock=clock) as opened:
        yield opened


@pytest.fixture
def pictures(tmp_path: Path) -> ObjectPictures:
    return ObjectPictures(open_objects((tmp_path / "objects").as_uri()))


@pytest.fixture
async def sessions(store: SqliteSessions, pictures: ObjectPictures) -> AsyncIterator[Any]:
    server = grpc.aio.server(interceptors=[CallInterceptor()], options=channel_options(64 << 20))
    servicer = SessionServicer(store, pictures, tenant_of)
    pb_grpc.add_SessionServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    options = channel_options(64 << 20)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        yield pb_grpc.SessionServiceStub(channel)
    await server.stop(None)
