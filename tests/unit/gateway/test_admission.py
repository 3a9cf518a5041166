"""Admission: bounded, fair, quick to refuse, and never loses a place."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.admission import Admission, AdmissionLimits
from kefu_gateway.domain.deadline import Deadline

LATER = Deadline.after(3600)


class Watch:
    """What admission tells of itself."""

    def __init__(self) -> None:
        self.running = self.queued = 0

    def __call__(self, running: int, queued: int) -> None:
        self.running, self.queued = running, queued


def admission(**limits: int) -> tuple[Admission, Watch]:
    watch = Watch()
    return Admission(AdmissionLimits(**limits), watch), watch


async def settle() -> None:
    """Lets every task that can run, run: each callback of the loop may schedule the next."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_first_come_first_served_also_when_a_small_one_would_fit() -> None:
    door, watch = admission(turns=9, tokens=100, queue=9)
    order: list[str] = []

    async def turn(name: str, cost: int) -> None:
        async with door.slot(cost, LATER):
            order.append(name)

    async with door.slot(60, LATER):
        large = asyncio.create_task(turn("large", 90))
        await settle()
        small = asyncio.create_task(turn("small", 10))
        await settle()
        assert (order, watch.queued) == ([], 2)
    await asyncio.gather(large, small)
    assert order == ["large", "small"]


async def test_full_queue_says_no_at_once() -> None:
    door, _ = admission(turns=1, tokens=100, queue=0)
    async with door.slot(1, LATER):
        with pytest.raises(KefuError) as caught:
            await door.slot(1, LATER).__aenter__()
    assert caught.value.reason is Reason.OVERLOADED


async def test_turn_larger_than_everything_runs_alone_rather_than_never() -> None:
    door, _ = admission(turns=9, tokens=100, queue=9)
    async with door.slot(5000, LATER):
        waiting = asyncio.create_task(door.slot(1, LATER).__aenter__())
        await settle()
        assert not waiting.done()
    await waiting


async def test_waiting_ends_with_the_deadline() -> None:
    door, watch = admission(turns=1, tokens=100, queue=9)
    async with door.slot(1, LATER):
        with pytest.raises(KefuError) as caught:
            await door.slot(1, Deadline.after(0.01)).__aenter__()
        assert caught.value.reason is Reason.DEADLINE_EXCEEDED
        assert watch.queued == 0


async def test_drain_sends_the_waiting_away_and_lets_the_running_finish() -> None:
    door, watch = admission(turns=1, tokens=100, queue=9)
    async with door.slot(1, LATER):
        waiting = asyncio.create_task(door.slot(1, LATER).__aenter__())
        await settle()
        door.drain()
        for attempt in (waiting, door.slot(1, LATER).__aenter__()):
            with pytest.raises(KefuError) as caught:
                await attempt
            assert caught.value.reason is Reason.DRAINING
        assert watch.running == 1
    assert watch.running == 0


async def test_a_place_that_is_granted_and_given_up_in_the_same_moment_is_free() -> None:
    door, watch = admission(turns=1, tokens=100, queue=9)
    holder = AsyncExitStack()
    await holder.enter_async_context(door.slot(100, LATER))
    granted = asyncio.create_task(door.slot(60, LATER).__aenter__())
    await settle()
    await holder.aclose()
    assert (watch.running, granted.done()) == (1, False), "granted, and not yet told"
    granted.cancel()
    with pytest.raises(asyncio.CancelledError):
        await granted
    assert watch.running == 0
    next_one = asyncio.create_task(door.slot(100, LATER).__aenter__())
    await settle()
    assert next_one.done(), "its tokens as well"


STEPS = st.lists(
    st.tuples(st.sampled_from(["enter", "leave", "cancel"]), st.integers(1, 60)), max_size=60
)


@settings(max_examples=200, deadline=None)
@given(steps=STEPS)
def test_no_place_is_lost_whatever_is_cancelled(steps: list[tuple[str, int]]) -> None:
    """Found by others the hard way: a waiter that is cancelled in the moment of its grant must give the place on."""

    async def play() -> None:
        door, watch = admission(turns=3, tokens=100, queue=1000)
        tasks: list[asyncio.Task[None]] = []
        inside: list[asyncio.Event] = []

        async def turn(cost: int, leave: asyncio.Event) -> None:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(door.slot(cost, LATER))
                inside.append(leave)
                await leave.wait()

        for what, number in steps:
            if what == "enter":
                tasks.append(asyncio.create_task(turn(number, asyncio.Event())))
            elif what == "leave" and inside:
                inside.pop(number % len(inside)).set()
                # Not settled on purpose: the next step may cancel a waiter that is granted at this moment.
                for _ in range(number % 4):
                    await asyncio.sleep(0)
                continue
            elif what == "cancel" and tasks:
                tasks[number % len(tasks)].cancel()
            if number % 2:
                await settle()
            assert watch.running <= 3
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (watch.running, watch.queued) == (0, 0)
        async with door.slot(100, Deadline.after(1)):
            assert watch.running == 1

    asyncio.run(play())
