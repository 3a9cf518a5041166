"""A picture by URL through a whole gateway: fetched from a real HTTPS host, prepared, asked about, counted."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from kefu.chat.v1 import chat_service_pb2, chat_service_pb2_grpc, question_pb2
from kefu_common.errors import KefuError, Reason
from kefu_common.status import from_call_error
from kefu_gateway.adapters.stores.objects import open_objects
from kefu_gateway.adapters.stores.uploads import ObjectUploads
from kefu_gateway.app import Gateway, Stores
from tests.fakes.memory_store import MemoryPictures, MemoryStore
from tests.fakes.model import write_model
from tests.fakes.preprocess import FakePreprocess
from tests.fakes.triton import FakeTriton
from tests.rpc.gateway.conftest import settings_for
from tests.rpc.urls.hosts import PICTURE, Hosts, answer, listening, tls_for


@dataclass
class House:
    gateway: Gateway
    sidecar: FakePreprocess
    channel: grpc.aio.Channel
    hosts: Hosts
    port: int

    async def ask(self, path: str, **picture: str) -> object:
        url = f"https://localhost:{self.port}{path}"
        part = question_pb2.Part(picture=question_pb2.Picture(url=url, **picture))
        question = question_pb2.Question(parts=[question_pb2.Part(text="?"), part])
        chat = chat_service_pb2_grpc.ChatServiceStub(self.channel)
        response = await chat.Chat(chat_service_pb2.ChatRequest(question=question), timeout=60)
        return response.answer

    async def refused(self, path: str, **picture: str) -> KefuError:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.ask(path, **picture)
        error = from_call_error(caught.value)
        assert error is not None
        return error

    async def fetches(self) -> dict[str, float]:
        address = f"http://127.0.0.1:{self.gateway.metrics_port}/metrics"

        def read() -> str:
            with urllib.request.urlopen(address, timeout=60) as response:
                return str(response.read().decode())

        families = text_string_to_metric_families(await asyncio.to_thread(read))
        return {
            sample.labels["outcome"]: sample.value
            for family in families
            for sample in family.samples
            if sample.name == "kefu_url_fetches_total"
        }


@pytest.fixture
async def house(tmp_path: Path, hosts: Hosts) -> AsyncIterator[House]:
    """The name is localhost: a real look-up, and the operator's setting that lets that network pass."""
    write_model(tmp_path)
    authority = tmp_path / "authority.pem"
    hosts.authority.cert_pem.write_to_path(authority)
    tls = tls_for(hosts.authority, "localhost")
    async with (
        listening(hosts.serve, tls, "127.0.0.1") as port,
        FakeTriton() as triton,
        FakePreprocess(tmp_path) as sidecar,
    ):
        settings = settings_for(
            tmp_path,
            triton.address,
            sidecar.address,
            metrics_address="127.0.0.1:0",
            url_hosts="localhost",
            url_ports=str(port),
            url_networks="127.0.0.0/8,::1/128",
            url_authority=authority,
        )
        stores = Stores(
            sessions=MemoryStore(time.time),
            pictures=MemoryPictures(),
            uploads=ObjectUploads(open_objects("memory:///"), settings.upload_limits),
        )
        async with (
            Gateway.open(settings, shared=stores) as gateway,
            grpc.aio.insecure_channel(gateway.address) as channel,
        ):
            yield House(gateway, sidecar, channel, hosts, port)


async def test_fetched_prepared_and_answered(house: House) -> None:
    house.hosts.will("/a.png?sign=1", answer())
    await house.ask("/a.png?sign=1")
    assert [request.data for request in house.sidecar.seen] == [PICTURE]
    error = await house.refused("/gone")
    assert (error.reason, error.field) == (
        Reason.PICTURE_FETCH_FAILED,
        "question.parts[1].picture.url",
    )
    house.sidecar.error = KefuError(Reason.PICTURE_DAMAGED, "cannot be decoded", field="data")
    house.hosts.will("/cut.png", answer(PICTURE[:100]))
    error = await house.refused("/cut.png")
    assert (error.reason, error.field) == (Reason.PICTURE_DAMAGED, "question.parts[1].picture.url")
    assert await house.fetches() == {"fetched": 2, "broken": 1}
