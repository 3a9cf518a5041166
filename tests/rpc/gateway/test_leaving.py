"""Whoever leaves an answer has the model stopped by a message on the same stream, and the call ends by itself.

Triton's gRPC front end crashes or hangs when a call is cancelled while it writes a response (docs/models.md, and
tests/e2e/test_triton_leaving.py shows it): so cancelling the call is the last resort, and these tests tell the two
apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import grpc
import pytest
import pytest_asyncio

from kefu_common.errors import KefuError, Reason
from kefu_gateway.adapters.streams import EndLimits
from kefu_gateway.adapters.triton import StallLimits, TritonHost
from kefu_gateway.domain.ports import Inference, Sampling
from tests.fakes.triton import FakeTriton, Script

pytestmark = pytest.mark.timeout(60)

SLOW = Script(["a", "b", "c"], pause_after=2)


@pytest_asyncio.fixture
async def triton() -> AsyncIterator[FakeTriton]:
    async with FakeTriton() as triton:
        triton.script = SLOW
        yield triton


@pytest_asyncio.fixture
async def channel(triton: FakeTriton) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(triton.address) as channel:
        yield channel


def host(channel: grpc.aio.Channel, **end: float) -> TritonHost:
    limits = EndLimits(**{"seconds": 30.0, **end})  # type: ignore[arg-type]
    return TritonHost(channel, StallLimits(), end=limits)


def asked() -> Inference:
    sampling = Sampling(max_tokens=64, temperature=0.0, top_p=1.0)
    return Inference(model="tiny", input_ids=[1, 2], pictures=(), sampling=sampling)


async def hear(host: TritonHost, most: int | None = None, seconds: float = 30.0) -> str:
    """The answer's text, or that of so many pieces."""
    text = ""
    async with aclosing(host.infer(asked(), timeout=seconds)) as chunks:
        async for chunk in chunks:
            text += chunk.text
            if len(text) == most:
                break
    return text


async def test_a_whole_answer_ends_its_call_without_any_message(
    triton: FakeTriton, channel: grpc.aio.Channel
) -> None:
    triton.script = Script(["a", "b"])
    model = host(channel)
    assert await hear(model) == "ab"
    await model.close()
    await triton.idle.wait()
    assert triton.cancelled == 0


async def test_leaving_between_two_tokens_sends_the_message(
    triton: FakeTriton, channel: grpc.aio.Channel
) -> None:
    model = host(channel)
    assert await hear(model, most=1) == "a"
    await triton.idle.wait()
    assert (triton.told_to_stop, triton.cancelled) == (1, 1)


async def test_a_caller_that_is_cancelled_while_it_waits_for_a_token(
    triton: FakeTriton, channel: grpc.aio.Channel
) -> None:
    """grpc.aio cancels a call when the task that reads it is cancelled: so no caller reads it by itself."""
    model = host(channel)
    task = asyncio.create_task(hear(model))
    await triton.paused.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await triton.idle.wait()
    assert (triton.told_to_stop, triton.cancelled) == (1, 1)


async def test_the_deadline_stops_the_model_before_it_cancels_the_call(
    triton: FakeTriton, channel: grpc.aio.Channel
) -> None:
    model = host(channel)
    with pytest.raises(KefuError) as caught:
        await hear(model, seconds=0.5)
    assert caught.value.reason is Reason.DEADLINE_EXCEEDED
    assert caught.value.metadata["stage"] == "infer"
    await triton.idle.wait()
    assert (triton.told_to_stop, triton.cancelled) == (1, 1)


async def test_a_stalled_model_is_told_to_stop(
    triton: FakeTriton, channel: grpc.aio.Channel
) -> None:
    model = TritonHost(channel, StallLimits(first_token=30, next_token=0.2))
    with pytest.raises(KefuError) as caught:
        await hear(model)
    assert caught.value.reason is Reason.MODEL_SERVER_UNAVAILABLE
    await triton.idle.wait()
    assert triton.told_to_stop == 1


async def test_where_the_message_is_refused_the_call_is_cancelled(
    triton: FakeTriton, channel: grpc.aio.Channel
) -> None:
    """An older backend, a queue that is full, or a second instance of the model that does not have the request."""
    triton.on_stop = "refuses"
    model = host(channel)
    await hear(model, most=1)
    await triton.idle.wait()
    assert (triton.told_to_stop, triton.cancelled) == (0, 1)


async def test_where_the_message_does_not_help_the_call_is_cancelled_in_time(
    triton: FakeTriton, channel: grpc.aio.Channel
) -> None:
    triton.on_stop = "ignores"
    model = host(channel, seconds=0.2)
    await hear(model, most=1)
    await triton.idle.wait()
    assert (triton.told_to_stop, triton.cancelled) == (0, 1)


async def test_no_more_calls_than_allowed_end_at_once(
    triton: FakeTriton, channel: grpc.aio.Channel
) -> None:
    triton.on_stop = "ignores"
    model = host(channel, most=2)
    for _ in range(3):
        await hear(model, most=1)
    async with asyncio.timeout(30):
        while triton.running > 2:
            await asyncio.sleep(0.01)
    assert triton.cancelled == 1
    triton.go_on.set()
    await model.close()
    await triton.idle.wait()
    assert triton.cancelled == 1


async def test_closing_waits_for_what_is_ending(
    triton: FakeTriton, channel: grpc.aio.Channel
) -> None:
    model = host(channel)
    await asyncio.gather(*(hear(model, most=1) for _ in range(5)))
    await model.close()
    assert (triton.told_to_stop, triton.running) == (5, 0)


async def test_a_server_that_dies_while_a_call_ends(
    triton: FakeTriton, channel: grpc.aio.Channel
) -> None:
    triton.on_stop = "ignores"
    model = host(channel)
    await hear(model, most=1)
    await triton.stop()
    await model.close()
    triton.go_on.set()
    await triton.start(triton.address)
