"""A bounded queue in front of a fixed number of worker processes.

pool = WorkerPool(workers=2, queue=32, limits=Limits(), seconds=5.0, memory_mb=1024)
await pool.start()
prepared = await pool.run(job)

Processes and not threads: a decoder that hangs or crashes in a thread takes the service with it (docs/pictures.md has
both measured).

A slot belongs to the task that feeds a worker, never to the caller who waits: a caller that goes away leaves its
picture to be finished (or skipped, if it had not begun), and so nothing is ever admitted beyond the bounds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from kefu_common.errors import KefuError, Reason
from kefu_preprocess.adapters import frames
from kefu_preprocess.adapters.process import WORKER_COMMAND, WorkerGoneError, WorkerProcess
from kefu_preprocess.domain.documents import damaged_document
from kefu_preprocess.domain.formats import sniff
from kefu_preprocess.domain.values import Job, Limits, Prepared, Rendered, RenderJob

log = structlog.get_logger()

# Seconds between tries to start a worker, when starting fails: the last one repeats.
_BACKOFF = (0.05, 0.2, 1.0, 5.0)

Ended = Callable[[str], None]
AnyJob = Job | RenderJob
# What a job's caller waits for: Prepared for a Job, Rendered for a RenderJob.
Result = asyncio.Future[Any]


class WorkerPool:
    """Implements `domain.ports.Workers`. `on_ended` is told why a worker had to be replaced: "crash" or "hang"."""

    def __init__(
        self,
        *,
        workers: int,
        queue: int,
        limits: Limits,
        seconds: float,
        memory_mb: int,
        on_ended: Ended = lambda cause: None,
        command: Sequence[str] = WORKER_COMMAND,
    ) -> None:
        self._count = workers
        self._queue = queue
        self._limits = limits
        self._seconds = seconds
        self._memory_mb = memory_mb
        self._on_ended = on_ended
        self._command = command
        self._waiting: deque[tuple[AnyJob, Result]] = deque()
        self._arrived = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self._alive: set[WorkerProcess] = set()
        self._busy = 0

    @property
    def waiting(self) -> int:
        """Pictures in the queue whose callers still wait."""
        return sum(not future.done() for _, future in self._waiting)

    @property
    def busy(self) -> int:
        """Workers with a picture."""
        return self._busy

    @property
    def pids(self) -> frozenset[int]:
        """The processes that are ready or at work."""
        return frozenset(worker.pid for worker in self._alive)

    async def start(self) -> None:
        """Starts every worker and waits until all are ready. Raises WorkerGoneError or OSError where one is not."""
        starting = [
            asyncio.ensure_future(WorkerProcess.start(self._memory_mb, self._command))
            for _ in range(self._count)
        ]
        results = await asyncio.gather(*starting, return_exceptions=True)
        workers = [each for each in results if isinstance(each, WorkerProcess)]
        for failure in results:
            if isinstance(failure, BaseException):
                await asyncio.gather(*(worker.end() for worker in workers))
                raise failure
        self._alive = set(workers)
        self._tasks = [asyncio.create_task(self._feed(worker)) for worker in workers]

    async def stop(self) -> None:
        """Ends every worker; whoever still waits is told DRAINING."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Here and not in the tasks: one that is cancelled before its first step runs no `finally`.
        await asyncio.gather(*(worker.end() for worker in self._alive))
        self._alive.clear()
        for _, future in self._waiting:
            _fail(future, KefuError(Reason.DRAINING, "the picture service is shutting down"))
        self._waiting.clear()

    async def run(self, job: Job) -> Prepared:
        """Waits for a worker's answer. Raises KefuError OVERLOADED at once when the queue is full."""
        prepared: Prepared = await self._result(job)
        return prepared

    async def render(self, job: RenderJob) -> Rendered:
        """The same for the pages of a document."""
        rendered: Rendered = await self._result(job)
        return rendered

    async def _result(self, job: AnyJob) -> Any:
        self._forget_cancelled()
        if len(self._waiting) >= self._queue and self._busy + len(self._waiting) >= self._count:
            raise KefuError(
                Reason.OVERLOADED,
                "too many pictures are waiting to be prepared",
                limit=self._queue,
                queue="preprocess",
            )
        future: Result = asyncio.get_running_loop().create_future()
        self._waiting.append((job, future))
        async with self._arrived:
            self._arrived.notify()
        return await future

    def _forget_cancelled(self) -> None:
        if any(future.done() for _, future in self._waiting):
            self._waiting = deque(each for each in self._waiting if not each[1].done())

    async def _next(self) -> tuple[AnyJob, Result]:
        async with self._arrived:
            while True:
                while self._waiting:
                    job, future = self._waiting.popleft()
                    if not future.done():
                        return job, future
                await self._arrived.wait()

    async def _feed(self, worker: WorkerProcess) -> None:
        while True:
            job, future = await self._next()
            self._busy += 1
            try:
                worker = await self._serve(worker, job, future)
            finally:
                self._busy -= 1
                _fail(future, KefuError(Reason.DRAINING, "the picture service is shutting down"))

    async def _serve(self, worker: WorkerProcess, job: AnyJob, future: Result) -> WorkerProcess:
        """Answers one picture; gives the worker for the next one."""
        head = frames.job_head(job, self._limits, self._seconds)
        # A worker that was killed from outside (or was dying already) is no fault of the picture: it has a second try.
        for last in (False, True):
            try:
                async with asyncio.timeout(self._seconds):
                    reply, blob = await worker.ask(head, job.data)
                _settle(job, future, reply, blob)
                return worker
            except TimeoutError:
                log.warning("worker was stuck", pid=worker.pid, seconds=self._seconds)
                self._on_ended("hang")
                _fail(future, self._too_slow(job))
                return await self._replace(worker)
            except WorkerGoneError:
                log.warning("worker ended", pid=worker.pid, again=not last)
                self._on_ended("crash")
                if last:
                    _fail(future, _crashed(job))
                worker = await self._replace(worker)
        return worker

    async def _replace(self, worker: WorkerProcess) -> WorkerProcess:
        self._alive.discard(worker)
        await worker.end()
        tries = 0
        while True:
            try:
                fresh = await WorkerProcess.start(self._memory_mb, self._command)
            except (WorkerGoneError, OSError):
                log.error("a worker does not start", tries=tries + 1)
                await asyncio.sleep(_BACKOFF[min(tries, len(_BACKOFF) - 1)])
                tries += 1
                continue
            self._alive.add(fresh)
            return fresh

    def _too_slow(self, job: AnyJob) -> KefuError:
        doing = "preparing this picture" if isinstance(job, Job) else "drawing this document"
        return KefuError(
            Reason.PICTURE_TOO_SLOW,
            f"{doing} took longer than allowed",
            field="data",
            limit=round(self._seconds * 1000),
            unit="ms",
        )


def _settle(job: AnyJob, future: Result, reply: dict[str, object], blob: bytes) -> None:
    """Hands a worker's answer to the caller. Raises WorkerGoneError where it is not one."""
    if "failed" in reply:
        log.error("the pipeline failed", where=str(reply["failed"])[:300])
        _fail(future, KefuError(Reason.INTERNAL, "something went wrong on our side"))
        return
    try:
        if "reason" in reply:
            _fail(future, frames.read_error(reply))
            return
        read = frames.read_prepared if isinstance(job, Job) else frames.read_rendered
        result = read(reply, blob)
    except (KeyError, TypeError, ValueError):
        raise WorkerGoneError from None
    if not future.done():
        future.set_result(result)


def _fail(future: Result, error: KefuError) -> None:
    if not future.done():
        future.set_exception(error)


def _crashed(job: AnyJob) -> KefuError:
    if isinstance(job, RenderJob):
        return damaged_document("the document is damaged: it cannot be drawn")
    found = sniff(job.data)
    return KefuError(
        Reason.PICTURE_DAMAGED,
        "the picture is damaged: it cannot be decoded",
        field="data",
        format="" if found is None else found.media_type,
    )
