"""The same work asked for twice at once is done once, and who goes away harms nobody."""

from __future__ import annotations

import asyncio

import pytest

from kefu_common.single_flight import SingleFlight


class Work:
    """Counts its runs; ends when it is told to."""

    def __init__(self) -> None:
        self.runs = 0
        self.cancelled = 0
        self.go = asyncio.Event()
        self.fails = False

    async def __call__(self) -> int:
        self.runs += 1
        number = self.runs
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.fails:
            raise ValueError(f"run {number}")
        return number


async def _asked(
    flight: SingleFlight[str, int], work: Work, count: int
) -> list[asyncio.Task[tuple[int, bool]]]:
    tasks = [asyncio.create_task(flight.do("key", work)) for _ in range(count)]
    while work.runs == 0:
        await asyncio.sleep(0)
    return tasks


async def test_all_who_ask_at_once_get_one_result_and_the_next_one_a_new_one() -> None:
    flight: SingleFlight[str, int] = SingleFlight()
    work = Work()
    tasks = await _asked(flight, work, 5)
    assert "key" in flight
    work.go.set()
    assert await asyncio.gather(*tasks) == [(1, False), *[(1, True)] * 4]
    assert len(flight) == 0
    assert await flight.do("key", work) == (2, False)


async def test_other_keys_do_not_wait() -> None:
    flight: SingleFlight[str, int] = SingleFlight()
    slow, quick = Work(), Work()
    quick.go.set()
    (task,) = await _asked(flight, slow, 1)
    assert await flight.do("other", quick) == (1, False)
    slow.go.set()
    assert await task == (1, False)


async def test_one_failure_is_told_to_all_and_not_remembered() -> None:
    flight: SingleFlight[str, int] = SingleFlight()
    work = Work()
    work.fails = True
    tasks = await _asked(flight, work, 3)
    work.go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(each) for each in results] == ["run 1"] * 3
    work.fails = False
    assert await flight.do("key", work) == (2, False)


async def test_whoever_began_it_may_leave_and_the_others_are_served() -> None:
    flight: SingleFlight[str, int] = SingleFlight()
    work = Work()
    first, *others = await _asked(flight, work, 3)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.go.set()
    assert await asyncio.gather(*others) == [(1, True)] * 2
    assert work.cancelled == 0


async def test_work_that_nobody_waits_for_is_cancelled_and_the_next_one_begins_anew() -> None:
    flight: SingleFlight[str, int] = SingleFlight()
    work = Work()
    tasks = await _asked(flight, work, 2)
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ends] == [asyncio.CancelledError] * 2
    work.go.set()
    assert await flight.do("key", work) == (2, False)
    assert work.cancelled == 1
    assert len(flight) == 0
