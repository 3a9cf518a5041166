"""SQLite away from the event loop: a thread with a connection of its own, given jobs from coroutines.

    writer = SqliteThread(open_writer, batch=64)
    await writer.start()
    await writer.call(lambda connection: connection.execute(…), durable=True)

The writer takes what has queued up meanwhile into one transaction: however many callers wait for the disk, it is
flushed once. Each job has its own savepoint, so that one that is refused leaves the others alone. Nobody is told before
the transaction is committed.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Job:
    run: Callable[[sqlite3.Connection], Any]
    durable: bool
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = field(default=None)


class SqliteThread:
    """`open_connection` is called in the thread. `writes`: jobs run inside BEGIN IMMEDIATE, and change things."""

    def __init__(
        self,
        name: str,
        open_connection: Callable[[], sqlite3.Connection],
        *,
        writes: bool,
        batch: int = 64,
    ) -> None:
        self._open = open_connection
        self._writes = writes
        self._batch = batch
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._closed = False
        self._durable: bool | None = (
            None  # what `synchronous` is set to; the library's default varies
        )

    async def start(self) -> None:
        """Opens the connection. Raises what opening it raises."""
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._thread.start()
        await self._opened

    async def call(self, run: Callable[[sqlite3.Connection], T], *, durable: bool = False) -> T:
        """Runs the job; its result. `durable`: flushed to the disk on return. Raises what the job raises, and
        sqlite3.Error where the transaction could not be committed: then nothing of it happened."""
        if self._closed:
            raise sqlite3.ProgrammingError("the store is closed")
        job = _Job(run, durable, self._loop.create_future())
        self._jobs.put(job)
        result: T = await job.future
        return result

    async def close(self) -> None:
        """Finishes what was given, then closes the connection."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        try:
            connection = self._open()
        except BaseException as error:
            self._tell(_fail, self._opened, error)
            return
        self._tell(_succeed, self._opened, None)
        with contextlib.closing(connection):
            while (jobs := self._take()) is not None:
                self._transact(connection, jobs)
                self._tell(_finish, jobs)

    def _take(self) -> list[_Job] | None:
        first = self._jobs.get()
        if first is None:
            return None
        jobs = [first]
        with contextlib.suppress(queue.Empty):
            while len(jobs) < self._batch:
                job = self._jobs.get_nowait()
                if job is None:
                    self._jobs.put(None)  # the end comes after these
                    break
                jobs.append(job)
        return jobs

    def _transact(self, connection: sqlite3.Connection, jobs: list[_Job]) -> None:
        try:
            if self._writes:
                self._set_durable(connection, any(job.durable for job in jobs))
            connection.execute("BEGIN IMMEDIATE" if self._writes else "BEGIN")
            for job in jobs:
                _attempt(connection, job)
            connection.execute("COMMIT")
        except BaseException as error:
            for job in jobs:
                job.error = job.error or error
            with contextlib.suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _set_durable(self, connection: sqlite3.Connection, durable: bool) -> None:
        # Outside a transaction only.
        if durable is not self._durable:
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable

    def _tell(self, what: Callable[..., None], *arguments: Any) -> None:
        # A loop that is closed has nobody left to tell.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, *arguments)


def _attempt(connection: sqlite3.Connection, job: _Job) -> None:
    connection.execute("SAVEPOINT job")
    try:
        job.result = job.run(connection)
    except sqlite3.OperationalError:
        raise  # a full disk, a broken file: it concerns the whole transaction
    except Exception as error:
        job.error = error
        connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")


def _finish(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.error is not None:
            _fail(job.future, job.error)
        else:
            _succeed(job.future, job.result)


def _succeed(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
