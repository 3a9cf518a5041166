"""Every cancelled job of vLLM's driver hears its end, whenever the cancellation comes.

With 2,000 cancelled requests one was never told, and its place was lost: it was cancelled between the making of its
task and that task's first step (then nothing of it runs, not even its `except`), or a second time while the first one
was being worked off.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from engines.base import Card, Job, Sampling
from engines.vllm.answer import Delta
from engines.vllm.driver import Driver, Failed, Ticket

CARD = Card.from_json(
    {
        "name": "some_vl",
        "engine": "vllm",
        "context_tokens": 64,
        "max_pictures": 1,
        "picture": {"placeholder_id": 9, "tokens": {"rule": "bounded", "max_tokens": 4}},
    }
)


class Endless:
    """What the driver uses of AsyncLLM: writes until it is told to stop, which takes it some steps of the loop."""

    errored = False

    def __init__(self) -> None:
        self.aborted: list[str] = []

    async def generate(self, prompt: Any, params: Any, name: str) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield None

    async def abort(self, name: str) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        self.aborted.append(name)


class Idle:
    def idle(self) -> None: ...


def driver(llm: Endless) -> Driver:
    """One whose loop is the test's."""
    made = Driver(CARD, None, Idle(), lambda: None)  # type: ignore[arg-type]
    made._loop = asyncio.get_running_loop()
    made._llm = llm
    return made


def ticket(number: int) -> Ticket:
    return Ticket(number, Job(input_ids=(1,), images=(), sampling=Sampling(max_tokens=4)), (), None)


async def ends(one: Ticket) -> list[Delta | Failed]:
    for _ in range(50):
        await asyncio.sleep(0)
    return one.events.take(0)


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
async def test_cancelled_so_many_steps_after_its_task_was_made(steps: int) -> None:
    llm, one = Endless(), ticket(1)
    engine = driver(llm)
    engine._begin([(one, {})])
    for _ in range(steps):
        await asyncio.sleep(0)
    engine.cancel(one)
    assert await ends(one) == [Delta((), (), "abort")]
    assert llm.aborted == ["some_vl-1"]


async def test_cancelled_before_there_is_a_task() -> None:
    llm, one = Endless(), ticket(1)
    engine = driver(llm)
    engine.cancel(one)
    engine._begin([(one, {})])
    assert await ends(one) == [Delta((), (), "abort")]


@pytest.mark.parametrize("between", [0, 1, 2, 3, 4])
async def test_cancelled_twice(between: int) -> None:
    llm, one = Endless(), ticket(1)
    engine = driver(llm)
    engine._begin([(one, {})])
    engine.cancel(one)
    for _ in range(between):
        await asyncio.sleep(0)
    engine.cancel(one)
    assert await ends(one) == [Delta((), (), "abort")]
    assert llm.aborted == ["some_vl-1"]
