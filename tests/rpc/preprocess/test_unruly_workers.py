"""A decoder that hangs or crashes costs one picture, and the service goes on."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kefu_common.errors import KefuError, Reason
from kefu_preprocess.adapters.pool import WorkerPool
from kefu_preprocess.adapters.process import WorkerGoneError
from kefu_preprocess.domain.values import Job, Limits, RenderJob
from tests.fixtures.documents import RED, pdf
from tests.unit.preprocess.pictures import encoded, noise

COMMAND = (sys.executable, str(Path(__file__).with_name("unruly_worker.py")))
PICTURE = encoded(noise(40, 30), "PNG")


class Ends:
    """Remembers why workers ended."""

    def __init__(self) -> None:
        self.causes: list[str] = []

    def __call__(self, cause: str) -> None:
        self.causes.append(cause)


@pytest.fixture
def ends() -> Ends:
    return Ends()


# Seconds that a picture may take, where the test waits until they are over; a good one takes a hundredth.
HASTY = pytest.mark.parametrize("pool", [2.0], indirect=True)


@pytest.fixture
async def pool(ends: Ends, request: pytest.FixtureRequest) -> AsyncIterator[WorkerPool]:
    """The parameter: seconds that a picture may take."""
    pool = WorkerPool(
        workers=1,
        queue=8,
        limits=Limits(),
        seconds=getattr(request, "param", 60.0),
        memory_mb=512,
        on_ended=ends,
        command=COMMAND,
    )
    await pool.start()
    yield pool
    await pool.stop()


async def fails(pool: WorkerPool, order: str) -> KefuError:
    with pytest.raises(KefuError) as caught:
        await pool.run(Job(data=PICTURE, media_type=order))
    return caught.value


async def works(pool: WorkerPool) -> None:
    prepared = await pool.run(Job(data=PICTURE))
    assert prepared.report.prepared_size == (40, 30)


@HASTY
async def test_a_hang_is_ended_at_the_limit_and_the_next_picture_is_prepared(
    pool: WorkerPool, ends: Ends
) -> None:
    before = pool.pids
    error = await fails(pool, "HANG")
    assert error.reason is Reason.PICTURE_TOO_SLOW
    assert error.field == "data"
    await works(pool)
    assert pool.pids.isdisjoint(before)
    assert ends.causes == ["hang"]


async def test_a_picture_that_crashes_two_workers_is_damaged(pool: WorkerPool, ends: Ends) -> None:
    error = await fails(pool, "CRASH")
    assert error.reason is Reason.PICTURE_DAMAGED
    await works(pool)
    assert ends.causes == ["crash", "crash"]


@HASTY
@pytest.mark.parametrize(
    ("order", "reason", "causes"),
    [
        ("HANG", Reason.PICTURE_TOO_SLOW, ["hang"]),
        ("CRASH", Reason.PICTURE_DAMAGED, ["crash", "crash"]),
    ],
)
async def test_a_document_that_hangs_or_crashes_costs_itself_alone(
    pool: WorkerPool, ends: Ends, order: str, reason: Reason, causes: list[str]
) -> None:
    with pytest.raises(KefuError) as caught:
        await pool.render(RenderJob(data=pdf(RED), media_type=order))
    assert (caught.value.reason, caught.value.field) == (reason, "data")
    assert "document" in caught.value.message
    assert ends.causes == causes
    assert (await pool.render(RenderJob(data=pdf(RED)))).total == 1
    await works(pool)


async def test_a_worker_killed_from_outside_costs_nobody_anything(
    pool: WorkerPool, ends: Ends, tmp_path: Path
) -> None:
    prepared = await pool.run(Job(data=PICTURE, media_type=f"CRASH-ONCE {tmp_path / 'once'}"))
    assert prepared.report.prepared_size == (40, 30)
    assert ends.causes == ["crash"]


async def test_an_idle_worker_that_was_killed_is_replaced(pool: WorkerPool, ends: Ends) -> None:
    (pid,) = pool.pids
    os.kill(pid, signal.SIGKILL)
    await works(pool)
    assert ends.causes == ["crash"]


async def test_a_bug_in_the_pipeline_is_internal_and_says_nothing(pool: WorkerPool) -> None:
    error = await fails(pool, "FAIL")
    assert error.reason is Reason.INTERNAL
    assert "words" not in error.message
    await works(pool)


async def test_workers_are_gone_after_stop(ends: Ends) -> None:
    pool = WorkerPool(workers=2, queue=8, limits=Limits(), seconds=60, memory_mb=0, command=COMMAND)
    await pool.start()
    pids = pool.pids
    assert len(pids) == 2
    await pool.stop()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_command_that_is_no_worker_fails_the_start() -> None:
    pool = WorkerPool(
        workers=1,
        queue=8,
        limits=Limits(),
        seconds=60,
        memory_mb=0,
        command=(sys.executable, "-c", "pass"),
    )
    with pytest.raises(WorkerGoneError):
        await pool.start()
