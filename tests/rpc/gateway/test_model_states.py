"""A model that is not there says whether it is coming, since when, and what would help."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from kefu.chat.v1 import chat_service_pb2, model_service_pb2, model_service_pb2_grpc
from kefu.modelhost.v1 import status_service_pb2, status_service_pb2_grpc
from kefu_common.errors import Reason
from kefu_common.status import from_call_error
from kefu_gateway.adapters.stores.objects import open_objects
from kefu_gateway.adapters.stores.uploads import ObjectUploads
from kefu_gateway.app import Gateway, Stores
from tests.fakes.memory_store import MemoryPictures, MemoryStore
from tests.fakes.model import write_model
from tests.fakes.preprocess import FakePreprocess
from tests.fakes.triton import FakeTriton
from tests.rpc.gateway.conftest import House, settings_for
from tests.rpc.gateway.test_chat_road import ask

Stub = model_service_pb2_grpc.ModelServiceStub


class FakeModelHost(status_service_pb2_grpc.StatusServiceServicer):
    """Says of the model "tiny" what a test wants."""

    def __init__(self) -> None:
        self.model = status_service_pb2.HostedModel(name="tiny")

    async def GetStatus(
        self, request: status_service_pb2.GetStatusRequest, context: grpc.aio.ServicerContext
    ) -> status_service_pb2.GetStatusResponse:
        return status_service_pb2.GetStatusResponse(models=[self.model])


async def tiny(models: Stub) -> model_service_pb2.Model:
    request = model_service_pb2.GetModelRequest(name="tiny")
    return (await models.GetModel(request, timeout=60)).model


async def until(models: Stub, true: Callable[[model_service_pb2.Model], bool]) -> None:
    async with asyncio.timeout(60):
        while not true(await tiny(models)):
            await asyncio.sleep(0.02)


async def test_a_model_that_triton_does_not_have_yet_is_loading(house: House) -> None:
    await until(house.models, lambda m: m.state == model_service_pb2.MODEL_STATE_READY)
    house.triton.not_loaded.add("tiny")
    await until(house.models, lambda m: m.state == model_service_pb2.MODEL_STATE_LOADING)
    # How long: it grows while the state stays.
    await until(house.models, lambda m: m.state_milliseconds > 200)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await house.chat.Chat(chat_service_pb2.ChatRequest(question=ask("hello?")), timeout=60)
    error = from_call_error(caught.value)
    assert error is not None
    assert error.reason is Reason.MODEL_NOT_READY
    mended = time.monotonic()
    house.triton.not_loaded.clear()
    await until(house.models, lambda m: m.state == model_service_pb2.MODEL_STATE_READY)
    model = await tiny(house.models)
    # It is counted anew, and not from when the model was ready for the first time.
    assert model.state_milliseconds <= 1000 * (time.monotonic() - mended)


async def test_a_server_that_is_gone_is_unavailable(house: House) -> None:
    await until(house.models, lambda m: m.state == model_service_pb2.MODEL_STATE_READY)
    await house.triton.stop()
    await until(house.models, lambda m: m.state == model_service_pb2.MODEL_STATE_UNAVAILABLE)


@pytest.fixture
async def told(tmp_path: Path) -> AsyncIterator[tuple[FakeModelHost, Stub]]:
    """A gateway that may ask the model host, before a Triton without the model."""
    write_model(tmp_path)
    host = FakeModelHost()
    async with (
        FakeTriton() as triton,
        FakePreprocess(tmp_path) as sidecar,
        door(host) as address,
    ):
        triton.not_loaded.add("tiny")
        settings = settings_for(
            tmp_path, triton.address, sidecar.address, modelhost_address=address
        )
        uploads = ObjectUploads(open_objects("memory:///"), settings.upload_limits)
        stores = Stores(sessions=MemoryStore(time.time), pictures=MemoryPictures(), uploads=uploads)
        async with (
            Gateway.open(settings, shared=stores) as gateway,
            grpc.aio.insecure_channel(gateway.address) as channel,
        ):
            yield host, Stub(channel)


@asynccontextmanager
async def door(host: FakeModelHost) -> AsyncIterator[str]:
    server = grpc.aio.server()
    status_service_pb2_grpc.add_StatusServiceServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def test_the_model_host_knows_since_when_and_what_to_change(
    told: tuple[FakeModelHost, Stub],
) -> None:
    host, models = told
    host.model.state = status_service_pb2.HOSTED_STATE_LOADING
    host.model.state_milliseconds = 90_000
    await until(models, lambda m: m.state == model_service_pb2.MODEL_STATE_LOADING)
    assert (await tiny(models)).state_milliseconds >= 90_000
    host.model.state = status_service_pb2.HOSTED_STATE_FAILED
    host.model.advice = "out of memory: lower engine_settings.max_num_seqs"
    await until(models, lambda m: m.state == model_service_pb2.MODEL_STATE_UNAVAILABLE)
    assert (await tiny(models)).advice == "out of memory: lower engine_settings.max_num_seqs"
