"""Callers who leave fast answers do not kill the model server.

Its gRPC front end writes a response and hears of a cancelled call in two threads that do not agree (docs/models.md). At
1 ms a token two dozen callers who cancelled their calls ended it within seconds, in one of three ways: signal 11, an
assertion in gRPC (signal 6), or two threads that wait for each other for good while the server says that it is ready.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, suppress
from typing import Any

import grpc
import pytest
import pytest_asyncio
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import InferenceServerException

from kefu_common.errors import KefuError, Reason
from kefu_gateway.adapters.triton import (
    StallLimits,
    TritonHost,
    build_request,
    build_stop,
    read_response,
)
from kefu_gateway.domain.ports import Inference, Sampling
from tests.fixtures.triton import Host, refusal, running, until

pytestmark = pytest.mark.triton

CALLS, AT_ONCE = 1200, 24


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with running(tmp_path_factory.mktemp("leaving"), ("echo",)) as host:
        yield host


@pytest_asyncio.fixture
async def model(host: Host) -> AsyncIterator[TritonHost]:
    async with grpc.aio.insecure_channel(host.grpc) as channel:
        model = TritonHost(channel, StallLimits())
        yield model
        await model.close()


def asked(token_ms: int) -> Inference:
    prompt = f"@echo tokens=2000 token_ms={token_ms}\nx"
    sampling = Sampling(max_tokens=2000, temperature=0.0, top_p=1.0)
    return Inference(model="echo", input_ids=list(prompt.encode()), pictures=(), sampling=sampling)


async def hear(
    model: TritonHost, inference: Inference, most: int | None = None, seconds: float = 100.0
) -> int:
    """How many chunks came: all of them, or so many as the caller waits for."""
    heard = 0
    async with aclosing(model.infer(inference, timeout=seconds)) as chunks:
        async for _ in chunks:
            heard += 1
            if heard == most:
                break
    return heard


async def test_a_message_to_stop_is_no_request_of_its_own(host: Host) -> None:
    """It is in none of the numbers that are counted by request or by batch. First, because these are handed over from
    time to time: here only a probe or two can be outstanding."""
    names = [f"kefu_vlm_{what}_total" for what in ("requests", "batches", "refused", "cancelled")]
    before = [host.metric(name, "echo") for name in names]
    for _ in range(30):
        with pytest.raises(InferenceServerException) as caught:
            await host.answer("echo", [], sampling={"cancel": "nobody"})
        assert refusal(caught) == "unknown_request"
    for _ in range(5):
        await host.ask("echo", "x")
    await until(lambda: host.metric(names[0], "echo") >= before[0] + 5, 30)
    after = [host.metric(name, "echo") for name in names]
    assert all(now - then < 15 for now, then in zip(after, before, strict=True))


async def test_callers_who_leave_fast_answers_leave_a_server_that_serves(
    host: Host, model: TritonHost
) -> None:
    rng = random.Random(1)
    before = host.status()
    cancelled = host.metric("kefu_vlm_cancelled_total", "echo")
    numbers = iter(range(CALLS))
    asking = asked(token_ms=1)

    async def leave(number: int) -> None:
        """After some tokens; cancelled while it waits, as a gateway's turn is; or at its deadline."""
        if number % 3 == 0:
            await hear(model, asking, most=rng.randint(1, 5))
        elif number % 3 == 1:
            task = asyncio.create_task(hear(model, asking))
            await asyncio.wait({task}, timeout=rng.random() / 20)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        else:
            with pytest.raises(KefuError) as caught:
                await hear(model, asking, seconds=0.01 + rng.random() / 20)
            assert caught.value.reason is Reason.DEADLINE_EXCEEDED

    async def caller() -> None:
        for number in numbers:
            await leave(number)

    await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
    await model.close()
    await until(lambda: host.metric("kefu_vlm_active_requests", "echo") == 0, 60)
    after = host.status()
    assert (after["state"], after["triton_pid"]) == ("ready", before["triton_pid"])
    assert after["starts"] + after["reloads"] == before["starts"] + before["reloads"]
    # A few left before their request was sent.
    assert host.metric("kefu_vlm_cancelled_total", "echo") - cancelled > 0.9 * CALLS
    assert (await host.ask("echo", "still here")).text == "still here"


async def test_the_engine_stops_within_a_token_or_two(host: Host) -> None:
    """Seen on the wire: what the cancelled answer itself says of its length."""
    request = build_request(asked(token_ms=300))
    request.id = "to be stopped"
    async with grpc.aio.insecure_channel(host.grpc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        call = stub.ModelStreamInfer(timeout=100)
        await call.write(request)
        for _ in range(3):
            await call.read()
        await call.write(build_stop(request))
        await call.done_writing()
        chunks = [read_response(response.infer_response) async for response in call_rest(call)]
    (last,) = [chunk for chunk in chunks if chunk is not None and chunk.finish_reason]
    assert last.finish_reason == "cancelled"
    # Three were read; one can be on its way when the message arrives.
    assert 3 <= last.usage[2] <= 5


async def call_rest(call: Any) -> AsyncIterator[Any]:
    while (response := await call.read()) is not grpc.aio.EOF:
        assert not response.error_message
        yield response


async def test_many_waiting_requests_do_not_hold_up_the_message(
    host: Host, model: TritonHost
) -> None:
    """All the threads of the model are taken: the message needs none."""
    waiting = [asyncio.create_task(hear(model, asked(token_ms=1000))) for _ in range(160)]
    try:
        await until(lambda: host.metric("kefu_vlm_active_requests", "echo") >= 160, 60)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    await model.close()
    await until(lambda: host.metric("kefu_vlm_active_requests", "echo") == 0, 60)
    assert host.status()["state"] == "ready"
