"""A real gateway in this process, in front of a fake Triton and a fake sidecar that speak the wire."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from kefu.chat.v1 import chat_service_pb2_grpc, model_service_pb2_grpc
from kefu_gateway.adapters.stores.objects import open_objects
from kefu_gateway.adapters.stores.uploads import ObjectUploads
from kefu_gateway.app import Gateway, Stores
from kefu_gateway.config import Settings
from tests.fakes.memory_store import MemoryPictures, MemoryStore
from tests.fakes.model import write_model
from tests.fakes.preprocess import FakePreprocess
from tests.fakes.triton import FakeTriton


@dataclass
class House:
    """Everything a test needs of the running road."""

    gateway: Gateway
    triton: FakeTriton
    sidecar: FakePreprocess
    channel: grpc.aio.Channel

    @property
    def chat(self) -> chat_service_pb2_grpc.ChatServiceStub:
        return chat_service_pb2_grpc.ChatServiceStub(self.channel)

    @property
    def models(self) -> model_service_pb2_grpc.ModelServiceStub:
        return model_service_pb2_grpc.ModelServiceStub(self.channel)


def settings_for(folder: Path, triton: str, sidecar: str, **changes: object) -> Settings:
    values: dict[str, object] = {
        "address": "127.0.0.1:0",
        "metrics_address": "",  # its shutdown takes half a second; test_metrics switches it on
        "triton_address": triton,
        "triton_metrics_url": "",
        "preprocess_address": sidecar,
        "model_repository": folder / "models",
        "weights": folder / "weights",
        "models": "tiny",
        "health_seconds": 0.1,
        "settle_seconds": 0.0,
        **changes,
    }
    return Settings(**values)  # type: ignore[arg-type]


@pytest.fixture
async def house(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """Settings are changed by `@pytest.mark.parametrize("house", [{"max_turns": 1}], indirect=True)`."""
    changes = getattr(request, "param", {})
    write_model(tmp_path)
    async with FakeTriton() as triton, FakePreprocess(tmp_path) as sidecar:
        settings = settings_for(tmp_path, triton.address, sidecar.address, **changes)
        options = [("grpc.max_send_message_length", -1)]
        stores = Stores(
            sessions=MemoryStore(time.time),
            pictures=MemoryPictures(),
            uploads=ObjectUploads(open_objects("memory:///"), settings.upload_limits),
        )
        async with (
            Gateway.open(settings, shared=stores) as gateway,
            grpc.aio.insecure_channel(gateway.address, options=options) as channel,
        ):
            yield House(gateway, triton, sidecar, channel)
