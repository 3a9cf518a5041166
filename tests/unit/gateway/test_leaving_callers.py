"""Callers that leave a session: what they asked is taken back, wherever it runs, unless somebody else waits for it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from tests.fakes.memory_store import MemoryStore
from tests.fakes.virtual_time import run_virtually
from tests.unit.gateway.test_conversations import KEY, PREFILL, SimGateway, said


async def left(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def test_a_request_that_another_call_waits_for_is_not_taken_back() -> None:
    async def scenario() -> None:
        gateway = SimGateway("a", MemoryStore(asyncio.get_running_loop().time), {})
        calls = [asyncio.create_task(gateway.ask("one")) for _ in range(2)]
        await asyncio.sleep(PREFILL / 2)
        await left(calls[0])
        assert said(await calls[1]) == "to one"
        assert [run.cancelled for run in gateway.maker.runs] == [False]

    run_virtually(scenario())


def test_a_request_whose_last_caller_left_is_taken_back() -> None:
    async def scenario() -> None:
        store = MemoryStore(asyncio.get_running_loop().time)
        gateway = SimGateway("a", store, {})
        calls = [asyncio.create_task(gateway.ask("one")) for _ in range(2)]
        await asyncio.sleep(PREFILL / 2)
        for call in calls:
            await left(call)
        await asyncio.sleep(PREFILL)
        assert [run.cancelled for run in gateway.maker.runs] == [True]
        assert not await store.pending(KEY)
        assert not await store.turns(KEY)

    run_virtually(scenario())


def test_the_gateway_that_works_for_anothers_caller_hears_at_once_that_he_left() -> None:
    """It would hear of it when it looks into the store again: at the end of a turn for nobody."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        store = MemoryStore(loop.time)
        others: dict[str, SimGateway] = {}
        a, b = SimGateway("a", store, others), SimGateway("b", store, others)
        staying = asyncio.create_task(a.ask("one"))
        await asyncio.sleep(PREFILL / 3)
        leaving = asyncio.create_task(b.ask("two"))
        await asyncio.sleep(PREFILL / 3)
        assert [run.members for run in a.maker.runs] == [("one",), ("one", "two")]
        await left(leaving)
        assert said(await staying) == "to one"
        assert [(run.members, run.cancelled) for run in a.maker.runs] == [
            (("one",), True),
            (("one", "two"), True),
            (("one",), False),
        ]

    run_virtually(scenario())
