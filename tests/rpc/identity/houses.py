"""A real gateway that asks who calls, with its own stores, in front of a fake Triton and a fake sidecar."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from kefu.chat.v1 import (
    answer_pb2,
    chat_service_pb2,
    chat_service_pb2_grpc,
    model_service_pb2_grpc,
    question_pb2,
    session_service_pb2_grpc,
)
from kefu.media.v1 import media_service_pb2_grpc
from kefu_common.errors import KefuError
from kefu_common.status import from_call_error
from kefu_gateway.adapters.identity.keys import new_key
from kefu_gateway.app import Gateway
from tests.fakes.model import write_model
from tests.fakes.preprocess import FakePreprocess
from tests.fakes.triton import FakeTriton
from tests.rpc.gateway.conftest import settings_for

Header = tuple[tuple[str, str], ...]


@dataclass
class GuardedHouse:
    gateway: Gateway
    triton: FakeTriton
    sidecar: FakePreprocess
    channel: grpc.aio.Channel

    def caller(self, key: str = "", channel: grpc.aio.Channel | None = None) -> Tenant:
        return Tenant(channel or self.channel, bearer(key) if key else ())

    async def metrics(self) -> str:
        def scrape() -> str:
            address = f"http://127.0.0.1:{self.gateway.metrics_port}/metrics"
            with urllib.request.urlopen(address, timeout=60) as response:
                text: str = response.read().decode()
                return text

        return await asyncio.to_thread(scrape)


class Tenant:
    """A caller with its credential."""

    def __init__(self, channel: grpc.aio.Channel, header: Header) -> None:
        self.header = header
        self.chat = chat_service_pb2_grpc.ChatServiceStub(channel)
        self.sessions = session_service_pb2_grpc.SessionServiceStub(channel)
        self.media = media_service_pb2_grpc.MediaServiceStub(channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(channel)

    async def ask(self, question: question_pb2.Question) -> answer_pb2.Answer:
        request = chat_service_pb2.ChatRequest(question=question)
        answered: chat_service_pb2.ChatResponse = await self.chat.Chat(
            request, metadata=self.header, timeout=60
        )
        return answered.answer


def bearer(credential: str) -> Header:
    return (("authorization", f"Bearer {credential}"),)


def write_keys(path: Path, *tenants: str) -> list[str]:
    """A key file with a key for each; the keys."""
    made = [new_key(tenant) for tenant in tenants]
    path.write_text("".join(f"{line}\n" for _, line in made))
    return [key for key, _ in made]


@asynccontextmanager
async def open_house(folder: Path, **settings: object) -> AsyncIterator[GuardedHouse]:
    """`settings` change those of the gateway's tests. Its channel has no credentials."""
    if not (folder / "models").exists():
        write_model(folder)
    async with FakeTriton() as triton, FakePreprocess(folder) as sidecar:
        values = {
            "state": folder / "state",
            "reload_seconds": 0.05,
            **settings,
        }
        made = settings_for(folder, triton.address, sidecar.address, **values)
        async with (
            Gateway.open(made) as gateway,
            grpc.aio.insecure_channel(gateway.address) as channel,
        ):
            yield GuardedHouse(gateway, triton, sidecar, channel)


def error_of(failure: grpc.aio.AioRpcError) -> KefuError:
    error = from_call_error(failure)
    assert error is not None, failure
    return error


def details_of(failure: grpc.aio.AioRpcError) -> tuple[object, ...]:
    """Everything that a caller hears of a failure, but for the id of the call."""
    # grpc-stubs do not know that these are pairs.
    trailing: Any = failure.trailing_metadata() or ()
    for key, value in trailing:
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
            for detail in status.details:
                info = error_details_pb2.ErrorInfo()
                if detail.Is(info.DESCRIPTOR):
                    detail.Unpack(info)
                    info.metadata.pop("request_id", None)
                    detail.Pack(info)
            return failure.code(), failure.details(), status.SerializeToString(deterministic=True)
    return failure.code(), failure.details()


async def until(there: Callable[[], object]) -> None:
    """Returns when `there` gives something true; the test's own time limit ends it otherwise."""
    while not there():
        await asyncio.sleep(0.01)
