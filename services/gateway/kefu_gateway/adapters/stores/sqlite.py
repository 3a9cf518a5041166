"""Sessions in one file, for one gateway: the embedded store.

    async with SqliteSessions.open(Path(".kefu/sessions.db")) as store:
        submission = await store.submit(key, entry, holder="gateway-1", lease_seconds=10)

One thread writes, one reads (`sqlite_threads.py`). The rules are in `sqlite_steps.py`; `sqlite_schema.py` says what
survives which accident. Messages stay inside the process: a second gateway needs Valkey. aiosqlite has a thread as
well, but commits each caller's work by itself, so it was left out.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from kefu_gateway.adapters.stores import sqlite_steps as steps
from kefu_gateway.adapters.stores.failures import told
from kefu_gateway.adapters.stores.messages import LocalMessages
from kefu_gateway.adapters.stores.rules import Lifetimes
from kefu_gateway.adapters.stores.sqlite_rows import find_or_make, take_lease
from kefu_gateway.adapters.stores.sqlite_schema import create_tables, open_connection
from kefu_gateway.adapters.stores.sqlite_threads import SqliteThread
from kefu_gateway.domain.answer import Answer
from kefu_gateway.domain.session import (
    Entry,
    Failure,
    KeptTurn,
    Session,
    SessionKey,
    Submission,
)
from kefu_gateway.wire.transcripts import outcome_to_json, turn_to_json

T = TypeVar("T")


class SqliteSessions:
    """Implements `domain.session.SessionStore`."""

    def __init__(
        self,
        writer: SqliteThread,
        reader: SqliteThread,
        lifetimes: Lifetimes,
        clock: Callable[[], float],
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._unanswered = lifetimes.unanswered
        self._clock = clock
        self._messages = LocalMessages()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: Path,
        *,
        lifetimes: Lifetimes | None = None,
        clock: Callable[[], float] = time.time,
    ) -> AsyncIterator[SqliteSessions]:
        """Opens the file, making it and its folder where they are not there. `clock`: seconds since the epoch.

        Raises KefuError(STORE_UNAVAILABLE) where that cannot be, RuntimeError for a file of a newer version.
        """

        def open_writer() -> sqlite3.Connection:
            connection = open_connection(path)
            create_tables(connection)
            return connection

        writer = SqliteThread("sessions-writer", open_writer, writes=True)
        reader = SqliteThread(
            "sessions-reader", lambda: open_connection(path, read_only=True), writes=False
        )
        async with AsyncExitStack() as stack:
            with told("store", sqlite3.Error, OSError):
                await writer.start()
                stack.push_async_callback(writer.close)
                await reader.start()
                stack.push_async_callback(reader.close)
            yield cls(writer, reader, lifetimes or Lifetimes(), clock)

    async def submit(
        self, key: SessionKey, entry: Entry, *, holder: str, lease_seconds: float
    ) -> Submission:
        now = self._clock()
        return await self._write(
            lambda db: steps.submit(
                db,
                key,
                entry,
                holder=holder,
                lease_seconds=lease_seconds,
                now=now,
                unanswered=self._unanswered,
            )
        )

    async def acquire(self, key: SessionKey, *, holder: str, lease_seconds: float) -> int | None:
        now = self._clock()

        def take(db: sqlite3.Connection) -> int | None:
            row = find_or_make(db, key, now, now + self._unanswered)
            return take_lease(db, row, holder, lease_seconds, now)

        return await self._write(take)

    async def renew(self, key: SessionKey, fence: int, *, lease_seconds: float) -> bool:
        now = self._clock()
        return await self._write(lambda db: steps.renew(db, key, fence, lease_seconds, now))

    async def release(self, key: SessionKey, fence: int) -> bool:
        now = self._clock()
        return await self._write(lambda db: steps.release(db, key, fence, now))

    async def pending(self, key: SessionKey) -> Sequence[Entry]:
        now = self._clock()
        return await self._read(lambda db: steps.pending(db, key, now))

    async def use_pictures(self, key: SessionKey, hashes: Sequence[str]) -> None:
        now = self._clock()
        await self._write(lambda db: steps.use_pictures(db, key, hashes, now, self._unanswered))

    async def withdraw(self, key: SessionKey, request_id: str) -> str:
        now = self._clock()
        return await self._write(lambda db: steps.withdraw(db, key, request_id, now))

    async def commit(
        self,
        key: SessionKey,
        fence: int,
        turn: KeptTurn,
        *,
        seconds_to_live: float,
        keep_turn: bool = True,
    ) -> None:
        now = self._clock()
        kept = turn_to_json(turn) if keep_turn else None
        outcome = None if keep_turn else outcome_to_json(turn.answer)
        await self._write(
            lambda db: steps.commit(
                db,
                key,
                fence,
                turn,
                kept=kept,
                outcome=outcome,
                seconds_to_live=seconds_to_live,
                now=now,
                unanswered=self._unanswered,
            ),
            durable=True,
        )

    async def fail(
        self, key: SessionKey, fence: int, request_ids: Sequence[str], failure: Failure
    ) -> None:
        now = self._clock()
        document = outcome_to_json(failure)
        await self._write(lambda db: steps.fail(db, key, fence, request_ids, document, now))

    async def outcome(self, key: SessionKey, request_id: str) -> Answer | Failure | None:
        now = self._clock()
        return await self._read(lambda db: steps.outcome(db, key, request_id, now))

    async def session(self, key: SessionKey) -> Session | None:
        now = self._clock()
        return await self._read(lambda db: steps.session(db, key, now))

    async def turns(
        self, key: SessionKey, *, after: int = 0, limit: int = 100
    ) -> Sequence[KeptTurn]:
        now = self._clock()
        return await self._read(lambda db: steps.turns(db, key, after, limit, now))

    async def recent(self, key: SessionKey, *, chain: int, limit: int) -> Sequence[KeptTurn]:
        now = self._clock()
        return await self._read(lambda db: steps.recent(db, key, chain, limit, now))

    async def restore(
        self, key: SessionKey, turns: Sequence[KeptTurn], *, seconds_to_live: float
    ) -> None:
        now = self._clock()
        await self._write(
            lambda db: steps.restore(db, key, turns, seconds_to_live, now), durable=True
        )

    async def delete(self, key: SessionKey) -> Sequence[str]:
        return await self._write(lambda db: steps.delete(db, key), durable=True)

    async def expire(self) -> Sequence[tuple[str, str]]:
        now = self._clock()
        unused: list[tuple[str, str]] = []
        while True:
            gone, found = await self._write(lambda db: steps.expire(db, now))
            unused += found
            if gone < steps.SWEPT_AT_ONCE:
                return unused

    async def publish(self, gateway: str, message: bytes) -> None:
        self._messages.publish(gateway, message)

    def listen(self, gateway: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        return self._messages.listen(gateway)

    async def ping(self) -> None:
        await self._read(lambda db: db.execute("SELECT last FROM fences").fetchone())

    async def _write(self, step: Callable[[sqlite3.Connection], T], *, durable: bool = False) -> T:
        with told("store", sqlite3.Error):
            return await self._writer.call(step, durable=durable)

    async def _read(self, step: Callable[[sqlite3.Connection], T]) -> T:
        with told("store", sqlite3.Error):
            return await self._reader.call(step)
