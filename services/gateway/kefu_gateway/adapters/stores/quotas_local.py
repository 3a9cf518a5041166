"""Quotas of one gateway: in memory, the day's tokens also in a file, so that a restart does not give a second day.

    async with LocalLedger.open(Path(".kefu/state/quotas.db")) as ledger:
        taken = await ledger.take("shop", quota, ticket="t-1", tokens=700, seconds=120)

What is written is at most a second old when a gateway is killed. Rate and places are not written: a restart empties
them.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from kefu_gateway.domain.quotas import (
    CONCURRENCY_RETRY_SECONDS,
    DAY_SECONDS,
    Quota,
    Refused,
    Taken,
)

log = structlog.get_logger()

_TABLE = """CREATE TABLE IF NOT EXISTS tokens (
  tenant TEXT NOT NULL, day INTEGER NOT NULL, used INTEGER NOT NULL, PRIMARY KEY (tenant, day)
) WITHOUT ROWID"""
_WRITE = "INSERT INTO tokens VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET used = excluded.used"

# Tenants that are kept in mind. A token's issuer may know many; those that have not asked for longest are dropped.
MOST_TENANTS = 10_000


@dataclass(slots=True)
class _Account:
    """`full_at`: when the bucket is full again (GCRA's theoretical arrival time); `places`: until when, by ticket."""

    full_at: float = 0.0
    places: dict[str, float] = field(default_factory=dict)
    day: int = 0
    tokens: int = 0


class LocalLedger:
    """Implements `domain.quotas.QuotaLedger`. One thread only (the event loop's). `clock`: seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._accounts: dict[str, _Account] = {}
        self._changed: set[str] = set()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, path: Path, *, every: float = 1.0, clock: Callable[[], float] = time.time
    ) -> AsyncIterator[LocalLedger]:
        """With a file, written every so many seconds and at the end. Raises sqlite3.Error, OSError."""
        self = cls(clock)
        today = int(clock() // DAY_SECONDS)
        for tenant, used in await asyncio.to_thread(_read, path, today):
            self._accounts[tenant] = _Account(day=today, tokens=used)
        writing = asyncio.create_task(self._write_forever(path, every))
        try:
            yield self
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            with suppress(sqlite3.Error, OSError):
                await self._write(path)

    async def take(
        self, tenant: str, quota: Quota, *, ticket: str, tokens: int, seconds: float
    ) -> Taken | Refused:
        now = self._clock()
        account = self._account(tenant, now)
        full_at = max(account.full_at, now)
        if quota.turns_per_second:
            interval = 1 / quota.turns_per_second
            # No emptier than empty: what was taken under a slower rule is not paid back at that rule's pace.
            full_at = account.full_at = min(full_at, now + quota.depth * interval)
            # The bucket is `depth` questions deep: this one fits when all but `depth - 1` have flowed out.
            opens = full_at + interval - quota.depth * interval
            if opens > now:
                return Refused("turns_per_second", quota.turns_per_second, opens - now)
            full_at += interval
        if quota.concurrent_turns and len(account.places) >= quota.concurrent_turns:
            return Refused("concurrent_turns", quota.concurrent_turns, CONCURRENCY_RETRY_SECONDS)
        if quota.tokens_per_day and account.tokens + tokens > quota.tokens_per_day:
            rest = (account.day + 1) * DAY_SECONDS - now
            return Refused("tokens_per_day", quota.tokens_per_day, rest)
        account.full_at = full_at
        account.places[ticket] = now + seconds
        account.tokens += tokens
        self._changed.add(tenant)
        return Taken(tenant, ticket, account.day, tokens)

    async def settle(self, taken: Taken, used: int) -> None:
        account = self._accounts.get(taken.tenant)
        if account is None:
            return
        account.places.pop(taken.ticket, None)
        if account.day == taken.day:
            account.tokens = max(0, account.tokens + used - taken.tokens)
            self._changed.add(taken.tenant)

    def _account(self, tenant: str, now: float) -> _Account:
        # Taken out and put back at the end: the first one is the one that has not asked for longest.
        account = self._accounts.pop(tenant, None) or _Account()
        self._accounts[tenant] = account
        if len(self._accounts) > MOST_TENANTS:
            del self._accounts[next(iter(self._accounts))]
        day = int(now // DAY_SECONDS)
        if account.day != day:
            account.day, account.tokens = day, 0
        for ticket in [ticket for ticket, until in account.places.items() if until <= now]:
            del account.places[ticket]
        return account

    async def _write_forever(self, path: Path, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            try:
                await self._write(path)
            except (sqlite3.Error, OSError) as error:
                log.warning("quotas were not written", kind=type(error).__name__)

    async def _write(self, path: Path) -> None:
        changed, self._changed = self._changed, set()
        rows = [
            (tenant, account.day, account.tokens)
            for tenant in changed
            if (account := self._accounts.get(tenant)) is not None
        ]
        if not rows:
            return
        try:
            await asyncio.to_thread(_write, path, rows)
        except BaseException:
            self._changed |= changed
            raise


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # As the sessions' file beside it: nobody else on the machine reads who asks how much.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, timeout=5.0)
    connection.execute(_TABLE)
    return connection


def _read(path: Path, today: int) -> list[tuple[str, int]]:
    with closing(_connect(path)) as connection, connection:
        connection.execute("DELETE FROM tokens WHERE day < ?", (today,))
        rows = connection.execute("SELECT tenant, used FROM tokens WHERE day = ?", (today,))
        return rows.fetchall()


def _write(path: Path, rows: list[tuple[str, int, int]]) -> None:
    with closing(_connect(path)) as connection, connection:
        connection.executemany(_WRITE, rows)
