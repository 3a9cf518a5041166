"""A real sidecar in this process, and a real channel to it over a unix socket."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from kefu.preprocess.v1 import preprocess_service_pb2_grpc as pb_grpc
from kefu_preprocess.app import Sidecar, running
from kefu_preprocess.config import Settings


@pytest.fixture(scope="module")
def socket_folder() -> Iterator[Path]:
    """A folder with a short name: a unix socket's path has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="kefu-") as folder:
        yield Path(folder)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sidecar(socket_folder: Path) -> AsyncIterator[Sidecar]:
    settings = Settings(
        socket=str(socket_folder / "p.sock"),
        workers=1,
        queue=4,
        metrics="127.0.0.1:0",
        time_limit_ms=60_000,  # on a busy machine a large picture takes long, and that is not what is tested here
    )
    async with running(settings) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channel(sidecar: Sidecar, socket_folder: Path) -> AsyncIterator[grpc.aio.Channel]:
    options = [
        ("grpc.max_send_message_length", 32 * 1024 * 1024),
        ("grpc.max_receive_message_length", 32 * 1024 * 1024),
    ]
    async with grpc.aio.insecure_channel(f"unix:{socket_folder}/p.sock", options=options) as opened:
        yield opened


@pytest.fixture(scope="module")
def stub(channel: grpc.aio.Channel) -> Any:
    return pb_grpc.PreprocessServiceStub(channel)
