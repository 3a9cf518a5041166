"""Several Tritons behind one name, one of which could not load the model: its share of the questions was refused."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import grpc
import pytest

from kefu_common.errors import KefuError, Reason
from kefu_common.server import upstream_options
from kefu_gateway.adapters.triton import StallLimits, TritonHost
from kefu_gateway.domain.ports import Inference, Sampling, TokenChunk
from kefu_gateway.domain.replicas import ATTEMPTS, AnyReplica
from tests.fakes.triton import FakeTriton, Script

ASKED = Inference(
    model="tiny",
    input_ids=[1, 2],
    pictures=(),
    sampling=Sampling(max_tokens=64, temperature=0.0, top_p=1.0),
)


async def hear(host: AnyReplica) -> str:
    async with aclosing(host.infer(ASKED, timeout=60)) as chunks:
        return "".join([chunk.text async for chunk in chunks])


async def test_what_one_has_lost_the_other_answers() -> None:
    async with FakeTriton() as whole, FakeTriton() as degraded:
        degraded.not_loaded.add("tiny")
        whole.script = Script(["well"])
        name = f"ipv4:{whole.address},{degraded.address}"
        async with grpc.aio.insecure_channel(name, options=upstream_options(1 << 20)) as channel:
            triton = TritonHost(channel, StallLimits())
            host = AnyReplica(triton, clock=time.monotonic)
            # In turn to both: without a second attempt half of them would fail.
            answers = [await hear(host) for _ in range(20)]
            await triton.close()
    assert answers == ["well"] * 20
    assert len(whole.seen) == 20


async def test_where_nobody_has_it_the_caller_is_told() -> None:
    async with FakeTriton() as only, grpc.aio.insecure_channel(only.address) as channel:
        only.not_loaded.add("tiny")
        triton = TritonHost(channel, StallLimits())
        with pytest.raises(KefuError) as raised:
            await hear(AnyReplica(triton, clock=time.monotonic))
        await triton.close()
    assert raised.value.reason is Reason.MODEL_NOT_READY


class Fails:
    """A host that says so many pieces and then fails, each time."""

    def __init__(self, pieces: int, reason: Reason) -> None:
        self.pieces, self.reason = pieces, reason
        self.asked: list[float] = []

    async def infer(self, inference: Inference, *, timeout: float) -> AsyncIterator[TokenChunk]:
        self.asked.append(timeout)
        for _ in range(self.pieces):
            yield TokenChunk(text="a")
        raise KefuError(self.reason, "no")


@pytest.mark.parametrize(
    ("pieces", "reason", "attempts"),
    [
        (0, Reason.MODEL_NOT_READY, ATTEMPTS),
        (1, Reason.MODEL_NOT_READY, 1),  # its caller has heard a part of it
        (0, Reason.PROMPT_TOO_LONG, 1),
        (0, Reason.MODEL_SERVER_UNAVAILABLE, 1),  # it may be at work on it
    ],
)
async def test_only_what_nobody_began_is_asked_again(
    pieces: int, reason: Reason, attempts: int
) -> None:
    clock = iter(range(100))
    inner = Fails(pieces, reason)
    with pytest.raises(KefuError) as raised:
        await hear(AnyReplica(inner, clock=lambda: float(next(clock))))  # type: ignore[arg-type]
    assert raised.value.reason is reason
    # Within the one deadline: each attempt has what is left.
    assert inner.asked == [59.0, 58.0, 57.0][:attempts]
