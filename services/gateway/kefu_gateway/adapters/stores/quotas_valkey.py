"""Quotas of several gateways, in the Valkey or Redis that they share.

    async with ValkeyLedger.open("redis://valkey:6379/0") as ledger:
        taken = await ledger.take("shop", quota, ticket="t-1", tokens=700, seconds=120)

One Lua script checks all three limits and takes from all or from none: one round trip. While the store is away each
gateway keeps its own books (`quotas_local.py`): a limit is then one a gateway, which is better than none, and better
than refusing everybody.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from kefu_gateway.adapters.stores.quotas_local import LocalLedger
from kefu_gateway.adapters.stores.valkey_scripts import script
from kefu_gateway.domain.quotas import CONCURRENCY_RETRY_SECONDS, Quota, Refused, Taken

log = structlog.get_logger()

# Seconds for which a store that failed is not asked again: a question must not wait for it each time.
AWAY_SECONDS = 2.0


class ValkeyLedger:
    """Implements `domain.quotas.QuotaLedger`."""

    def __init__(self, client: Redis, clock: Callable[[], float] | None) -> None:
        # redis-py types its commands for the synchronous and the asynchronous client at once.
        self._client: Any = client
        self._clock = clock
        self._local = LocalLedger(clock or time.time)
        self._away_until = 0.0
        # Tickets that were taken here alone, and must be settled here.
        self._mine: set[str] = set()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        connections: int = 32,
        timeout: float = 1.0,
        clock: Callable[[], float] | None = None,
    ) -> AsyncIterator[ValkeyLedger]:
        """`url`: redis://, rediss:// (TLS) or unix://. `timeout`: seconds for one step. `clock`: seconds since the
        epoch, for tests; none takes the server's. Connects when first used."""
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=connections,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            # Nothing is sent twice: a step whose reply was lost may have happened.
            retry=Retry(NoBackoff(), 0),
        )
        client = Redis(connection_pool=pool)
        try:
            yield cls(client, clock)
        finally:
            await client.aclose()
            await pool.aclose()

    async def take(
        self, tenant: str, quota: Quota, *, ticket: str, tokens: int, seconds: float
    ) -> Taken | Refused:
        rate = quota.turns_per_second
        try:
            said, value = await self._eval(
                "quota_take",
                _keys(tenant),
                [
                    "" if self._clock is None else _micro(self._clock()),
                    repr(1_000_000 / rate) if rate else 0,
                    quota.depth,
                    quota.concurrent_turns,
                    quota.tokens_per_day,
                    ticket,
                    tokens,
                    _micro(seconds),
                ],
            )
        except (RedisError, OSError) as error:
            self._note("take", error)
            self._mine.add(ticket)
            taken = await self._local.take(
                tenant, quota, ticket=ticket, tokens=tokens, seconds=seconds
            )
            if isinstance(taken, Refused):
                self._mine.discard(ticket)
            return taken
        limit = said.decode()
        if limit == "taken":
            return Taken(tenant, ticket, int(value), tokens)
        wait = int(value) / 1_000_000 or CONCURRENCY_RETRY_SECONDS
        return Refused(limit, float(getattr(quota, limit)), wait)

    async def settle(self, taken: Taken, used: int) -> None:
        if taken.ticket in self._mine:
            self._mine.discard(taken.ticket)
            await self._local.settle(taken, used)
            return
        try:
            await self._eval(
                "quota_settle",
                _keys(taken.tenant)[1:],
                [taken.ticket, taken.day, used - taken.tokens],
            )
        except (RedisError, OSError) as error:
            self._note("settle", error)

    async def _eval(self, name: str, keys: list[str], arguments: list[Any]) -> Any:
        if time.monotonic() < self._away_until:
            raise ConnectionError("the store was away a moment ago")
        called = script(name)
        rest = (len(keys), *keys, *arguments)
        try:
            return await self._client.execute_command("EVALSHA", called.sha1, *rest)
        except NoScriptError:  # a server that was restarted knows no scripts; nothing ran
            return await self._client.execute_command("EVAL", called.source, *rest)

    def _note(self, step: str, error: BaseException) -> None:
        now = time.monotonic()
        if now >= self._away_until:
            log.warning("quotas are this gateway's alone", step=step, kind=type(error).__name__)
            self._away_until = now + AWAY_SECONDS


def _keys(tenant: str) -> list[str]:
    tag = f"kefu:quota:{{{quote(tenant, safe='')}}}"
    return [f"{tag}:{name}" for name in ("rate", "places", "tokens")]


def _micro(seconds: float) -> int:
    return round(seconds * 1_000_000)
