"""The real road, started once: Triton, the sidecar and the gateway as processes of their own.

`reader_road` has the reader, and the trivial model beside it; `echo_road` has the trivial model alone, and tests may
break it: every one leaves it serving.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from tests.e2e.road import MESSAGE_BYTES, Road
from tools.house import ROOT, House, Ports
from tools.models import REPOSITORIES, gather

TRITON = ROOT / ".kefu/envs/triton"
WEIGHTS = ROOT / ".kefu/weights/reader"
# Seen soon, so that tests need not wait for the default of 5 s.
QUICK = {
    "KEFU_GATEWAY_HEALTH_SECONDS": "0.2",
    "KEFU_TRITON_PROBE_SECONDS": "2",
    "KEFU_PREPROCESS_WORKERS": "2",
}


def need_triton() -> None:
    if not (TRITON / "bin/python").exists():
        pytest.skip(
            f"NOT TESTED END TO END: there is no Triton in {TRITON}; ./dev setup installs it"
        )


def need_weights() -> None:
    if not (WEIGHTS / "tokenizer.json").exists():
        pytest.skip(f"NOT TESTED END TO END: no weights in {WEIGHTS}; ./dev setup fetches them")


@asynccontextmanager
async def open_road(
    folder: Path,
    *names: str,
    environment: dict[str, str] | None = None,
    repositories: tuple[Path, ...] = REPOSITORIES,
) -> AsyncIterator[Road]:
    models = gather(folder, names, repositories)
    options = [
        ("grpc.max_send_message_length", MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MESSAGE_BYTES),
        # A gateway that was restarted is found again at once.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 500),
    ]
    async with (
        House.open(
            folder / "run",
            Ports.free(),
            models=models.names,
            repository=models.repository,
            weights=models.weights,
            environment={**QUICK, **(environment or {})},
        ) as house,
        grpc.aio.insecure_channel(house.gateway, options=options) as channel,
    ):
        await house.ready(seconds=150)
        yield Road(house, channel)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def reader_road(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Road]:
    need_triton()
    need_weights()
    async with open_road(tmp_path_factory.mktemp("reader"), "reader", "echo") as road:
        yield road


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def echo_road(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Road]:
    need_triton()
    async with open_road(tmp_path_factory.mktemp("echo"), "echo") as road:
        yield road
