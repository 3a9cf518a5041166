"""One trace a question: the caller's span, ours by stage, the sidecar's and what goes to Triton; nothing when off."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from kefu.chat.v1 import chat_service_pb2, chat_service_pb2_grpc, question_pb2
from kefu_common.calls import Passing, current_span
from kefu_gateway.adapters.stores.objects import open_objects
from kefu_gateway.adapters.stores.uploads import ObjectUploads
from kefu_gateway.adapters.telemetry import PrometheusTelemetry
from kefu_gateway.app import Gateway, Stores
from kefu_gateway.domain.session import SessionKey
from tests.fakes.collector import FakeCollector
from tests.fakes.memory_store import MemoryPictures, MemoryStore
from tests.fakes.model import write_model
from tests.fakes.preprocess import FakePreprocess
from tests.fakes.triton import FakeTriton, Script
from tests.rpc.gateway.conftest import settings_for
from tests.rpc.gateway.test_chat_road import ask

STAGES = ("admit", "gather", "join", "recall", "compose", "fit", "infer", "judge", "remember")
CHAT = "kefu.chat.v1.ChatService/Chat"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def caller(trace_id: str = TRACE, *, sampled: bool = True) -> tuple[str, str]:
    return ("traceparent", f"00-{trace_id}-b7ad6b7169203331-{'01' if sampled else '00'}")


@dataclass
class House:
    gateway: Gateway
    triton: FakeTriton
    sidecar: FakePreprocess
    sessions: MemoryStore
    collector: FakeCollector
    chat: chat_service_pb2_grpc.ChatServiceStub

    async def ask(self, question: question_pb2.Question, *metadata: tuple[str, str]) -> None:
        request = chat_service_pb2.ChatRequest(question=question)
        await self.chat.Chat(request, metadata=list(metadata), timeout=60)


@pytest.fixture
async def house(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[House]:
    write_model(tmp_path)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    async with (
        FakeCollector() as collector,
        FakeTriton() as triton,
        FakePreprocess(tmp_path) as sidecar,
    ):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        changes = {"traces": "otlp", "trace_ratio": 0.0, **getattr(request, "param", {})}
        settings = settings_for(tmp_path, triton.address, sidecar.address, **changes)
        sessions = MemoryStore(time.time)
        stores = Stores(
            sessions=sessions,
            pictures=MemoryPictures(),
            uploads=ObjectUploads(open_objects("memory:///"), settings.upload_limits),
        )
        async with (
            Gateway.open(settings, shared=stores) as gateway,
            grpc.aio.insecure_channel(gateway.address) as channel,
        ):
            chat = chat_service_pb2_grpc.ChatServiceStub(channel)
            yield House(gateway, triton, sidecar, sessions, collector, chat)


async def test_one_trace_shows_the_stages_under_the_callers_span(house: House) -> None:
    question = ask("谁的秘密订单 42?", b"picture bytes", session_id="s-secret", request_id="r-1")
    await house.ask(question, caller(), ("tracestate", "vendor=1"))
    spans = await house.collector.trace(TRACE, CHAT, "turn", *STAGES)
    assert set(spans) == {CHAT, "turn", *STAGES}
    assert spans[CHAT].parent_id == "b7ad6b7169203331"
    assert spans[CHAT].kind == 2  # SERVER
    for stage in ("admit", "gather", "join"):
        assert spans[stage].parent_id == spans[CHAT].span_id, stage
    assert spans["turn"].parent_id == spans["join"].span_id
    for stage in STAGES[3:]:
        assert spans[stage].parent_id == spans["turn"].span_id, stage
    order = [spans[stage].start for stage in STAGES]
    assert order == sorted(order)
    assert all(span.service == "kefu-gateway" for span in spans.values())


async def test_attributes_say_what_was_asked_of_the_model_and_nothing_that_was_said(
    house: House,
) -> None:
    house.triton.script = Script(["geheime", "Antwort"], finish="length")
    await house.ask(ask("谁的秘密订单 42?", b"picture bytes", session_id="s-secret"), caller())
    spans = await house.collector.trace(TRACE, CHAT, "infer", "gather")
    infer = spans["infer"]
    assert infer.kind == 3  # CLIENT
    assert infer.events == ("first_token",)
    assert infer.attributes["gen_ai.operation.name"] == "chat"
    assert infer.attributes["gen_ai.request.model"] == "tiny"
    assert infer.attributes["gen_ai.response.finish_reasons"] == ["length"]
    assert infer.attributes["gen_ai.usage.output_tokens"] == 2
    assert infer.attributes["gen_ai.request.max_tokens"] > 0
    assert spans["gather"].attributes["kefu.pictures"] == 1
    assert spans[CHAT].attributes["rpc.grpc.status_code"] == 0
    sent = b"".join(house.collector.raw)
    for said in ("秘密", "42?", "picture bytes", "geheime", "Antwort", "s-secret"):
        assert said.encode() not in sent, said


async def test_a_joined_turn_is_linked_to_the_other_requests(house: House) -> None:
    """Two callers with traces of their own, one turn: it is under the first and linked to the second."""
    other = "1" * 32
    house.triton.script = Script(["a"], pause_after=0)
    first = asyncio.create_task(house.ask(ask("一", session_id="s", more_to_come=True), caller()))
    while not await house.sessions.pending(SessionKey("", "s")):
        await asyncio.sleep(0)
    second = asyncio.create_task(house.ask(ask("二", session_id="s"), caller(other)))
    house.triton.go_on.set()
    await asyncio.gather(first, second)
    mine = await house.collector.trace(TRACE, CHAT, "turn", "remember")
    theirs = await house.collector.trace(other, CHAT, "join")
    assert mine["turn"].attributes["kefu.joined_requests"] == 2
    assert mine["turn"].links == (theirs["join"].span_id,)
    assert "turn" not in theirs


async def test_a_refused_question_is_its_callers_fault_and_a_broken_model_ours(
    house: House,
) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await house.ask(ask(), caller())
    spans = await house.collector.trace(TRACE, CHAT, "admit")
    assert spans["admit"].attributes["error.type"] == "TURN_EMPTY"
    assert not spans[CHAT].error
    other = "2" * 32
    house.triton.script = Script(["a"], error_message="stub process is not healthy", error_after=0)
    with pytest.raises(grpc.aio.AioRpcError):
        await house.ask(ask("?"), caller(other))
    spans = await house.collector.trace(other, CHAT, "infer")
    assert spans["infer"].error
    assert spans[CHAT].error
    assert spans[CHAT].attributes["error.type"] == "MODEL_SERVER_UNAVAILABLE"


async def test_the_sidecar_and_triton_are_told_the_trace_and_the_request(house: House) -> None:
    await house.ask(ask("?", b"p"), caller(), ("x-request-id", "call-1"))
    spans = await house.collector.trace(TRACE, "gather", "infer")
    assert house.sidecar.metadata[-1]["x-request-id"] == "call-1"
    assert house.sidecar.metadata[-1]["traceparent"] == f"00-{TRACE}-{spans['gather'].span_id}-01"
    assert house.triton.metadata[-1]["traceparent"] == f"00-{TRACE}-{spans['infer'].span_id}-01"


async def test_what_the_caller_does_not_sample_is_passed_on_and_not_recorded(house: House) -> None:
    await house.ask(ask("?", b"p"), caller("3" * 32, sampled=False))
    await house.ask(ask("?", b"p"))  # no caller's trace, and our own ratio is 0
    await house.ask(ask("?"), caller())
    await house.collector.trace(TRACE, CHAT, *STAGES)
    assert {span.trace_id for span in house.collector.spans} == {TRACE}
    assert house.sidecar.metadata[0]["traceparent"].startswith(f"00-{'3' * 32}-")
    assert house.sidecar.metadata[0]["traceparent"].endswith("-00")
    assert "traceparent" not in house.triton.metadata[0], "Triton would record it"


@pytest.mark.parametrize("house", [{"traces": "off"}], indirect=True)
async def test_off_means_off_and_passes_on(house: House) -> None:
    await house.ask(ask("?", b"p"), caller())
    assert house.sidecar.metadata[-1]["traceparent"] == caller()[1]
    assert house.triton.metadata[-1]["traceparent"] == caller()[1]
    assert not house.collector.raw


@pytest.mark.parametrize("module", ["kefu_gateway.app", "kefu_preprocess.app"])
def test_off_does_not_even_import_opentelemetry(module: str) -> None:
    script = (
        f"import sys, {module}; print([m for m in sys.modules if m.startswith('opentelemetry')])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr


async def test_latency_histograms_lead_to_a_trace() -> None:
    """Exemplars: OpenMetrics alone shows them."""
    registry = CollectorRegistry()
    telemetry = PrometheusTelemetry(registry)
    current_span.set(Passing(caller(sampled=False)[1]))
    telemetry.first_token("tiny", 0.1)
    assert TRACE not in generate_latest(registry).decode(), "nobody will see that trace"
    current_span.set(Passing(caller()[1]))
    telemetry.first_token("tiny", 0.1)
    assert f'# {{trace_id="{TRACE}"}}' in generate_latest(registry).decode()
