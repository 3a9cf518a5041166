"""Sessions in Valkey or Redis, for several gateways.

    async with ValkeySessions.open("redis://valkey:6379/0") as store:
        submission = await store.submit(key, entry, holder="gateway-1", lease_seconds=10)

Each step is one Lua script (`lua/`), so it happens whole or not at all; leases run by the server's clock, so gateways
need not agree on the time. What survives is the server's to decide: `appendonly yes` with `appendfsync always` keeps a
committed turn through a power failure, `everysec` may lose the last second of it, and without `appendonly` a restart
loses every session: then a warning is logged at the start. `maxmemory-policy` must be `noeviction`.

A picture's users are kept apart from the sessions, in other slots of a cluster. So they are noted before what uses them
is written, and given free after it is gone: a crash in between keeps a picture for longer, and never loses one.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from kefu_gateway.adapters.stores import valkey_messages
from kefu_gateway.adapters.stores.failures import told
from kefu_gateway.adapters.stores.rules import Lifetimes, check_all, pictures_of
from kefu_gateway.adapters.stores.valkey_records import (
    entry_from_bytes,
    entry_to_bytes,
    micro,
    outcome_from_bytes,
    turn_from_bytes,
    turn_to_bytes,
)
from kefu_gateway.adapters.stores.valkey_scripts import (
    INDEX,
    channel_of,
    key_of,
    keys_of,
    member_of,
    picture_key,
    script,
)
from kefu_gateway.domain.answer import Answer
from kefu_gateway.domain.session import (
    Entry,
    Failure,
    KeptTurn,
    LeaseLost,
    Session,
    SessionKey,
    Submission,
)
from kefu_gateway.wire.transcripts import outcome_to_json

log = structlog.get_logger()

SWEPT_AT_ONCE = 200

_REFUSALS = {
    "answered": "a request of this turn has its answer already",
    "number": "the turn is not the next one",
    "chain": "the session is at a later chain",
}


class ValkeySessions:
    """Implements `domain.session.SessionStore`."""

    def __init__(
        self, client: Redis, lifetimes: Lifetimes, clock: Callable[[], float] | None
    ) -> None:
        # redis-py types its commands for the synchronous and the asynchronous client at once.
        self._client: Any = client
        self._unanswered = lifetimes.unanswered
        self._clock = clock

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        lifetimes: Lifetimes | None = None,
        connections: int = 64,
        timeout: float = 3.0,
        clock: Callable[[], float] | None = None,
    ) -> AsyncIterator[ValkeySessions]:
        """`url`: redis://, rediss:// (TLS) or unix://. `connections`: most at once; callers wait for one. `timeout`:
        seconds for one step. `clock`: seconds since the epoch, for tests; none takes the server's.

        Connects when first used: a gateway may start before its store.
        """
        # Nothing is sent twice: a step whose reply was lost may have happened. The pool looks at a connection before it
        # gives it away, so a server that was restarted costs no failure.
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=connections,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
        client = Redis(connection_pool=pool)
        try:
            yield cls(client, lifetimes or Lifetimes(), clock)
        finally:
            await client.aclose()
            await pool.aclose()

    async def submit(
        self, key: SessionKey, entry: Entry, *, holder: str, lease_seconds: float
    ) -> Submission:
        with _told():
            state, outcome, fence, running = await self._run_noted(
                "submit",
                key,
                self._unanswered,
                holder,
                micro(max(0.0, lease_seconds)),
                micro(self._unanswered),
                entry.request_id,
                entry.fingerprint,
                entry_to_bytes(entry),
            )
        return Submission(
            state=state.decode(),
            outcome=outcome_from_bytes(outcome),
            fence=int(fence) if fence else None,
            holder=running.decode(),
        )

    async def acquire(self, key: SessionKey, *, holder: str, lease_seconds: float) -> int | None:
        with _told():
            fence = await self._run_noted(
                "acquire",
                key,
                self._unanswered,
                holder,
                micro(lease_seconds),
                micro(self._unanswered),
            )
        return int(fence) if fence else None

    async def renew(self, key: SessionKey, fence: int, *, lease_seconds: float) -> bool:
        with _told():
            return bool(await self._run("renew", key, fence, micro(lease_seconds)))

    async def release(self, key: SessionKey, fence: int) -> bool:
        with _told():
            return bool(await self._run("release", key, fence))

    async def pending(self, key: SessionKey) -> Sequence[Entry]:
        with _told():
            return [entry_from_bytes(entry) for entry in await self._run("pending", key)]

    async def use_pictures(self, key: SessionKey, hashes: Sequence[str]) -> None:
        if not hashes:
            return
        with _told():
            # First the session's own list: what is on it is given free one day, whatever happens next.
            await self._run_noted(
                "use_pictures", key, self._unanswered, micro(self._unanswered), *hashes
            )
            async with self._client.pipeline(transaction=False) as pipe:
                for sha256 in hashes:
                    pipe.sadd(picture_key(key.tenant, sha256), member_of(key))
                await pipe.execute()

    async def withdraw(self, key: SessionKey, request_id: str) -> str:
        with _told():
            holder, settled = await self._run("withdraw", key, request_id)
            await self._look_sooner(key, settled)
        return str(holder.decode())

    async def commit(
        self,
        key: SessionKey,
        fence: int,
        turn: KeptTurn,
        *,
        seconds_to_live: float,
        keep_turn: bool = True,
    ) -> None:
        hashes = pictures_of([turn]) if keep_turn else []
        arguments = (
            fence,
            turn.number,
            turn.chain,
            repr(turn.created_at),
            micro(seconds_to_live),
            micro(self._unanswered),
            turn_to_bytes(turn) if keep_turn else b"",
            b"" if keep_turn else b"A" + outcome_to_json(turn.answer),
            len(turn.request_ids),
            *turn.request_ids,
            *hashes,
        )
        with _told():
            said = (await self._run_noted("commit", key, seconds_to_live, *arguments)).decode()
            if said == "pictures":
                await self.use_pictures(key, hashes)
                said = (await self._run_noted("commit", key, seconds_to_live, *arguments)).decode()
        if said == "lost":
            raise LeaseLost
        if said != "ok":
            raise ValueError(_REFUSALS[said])

    async def fail(
        self, key: SessionKey, fence: int, request_ids: Sequence[str], failure: Failure
    ) -> None:
        document = b"F" + outcome_to_json(failure)
        with _told():
            settled = await self._run("fail", key, fence, document, *request_ids)
            if settled is None:
                raise LeaseLost
            await self._look_sooner(key, settled)

    async def outcome(self, key: SessionKey, request_id: str) -> Answer | Failure | None:
        with _told():
            return outcome_from_bytes(await self._run("outcome", key, request_id))

    async def session(self, key: SessionKey) -> Session | None:
        with _told():
            found = await self._run("session", key)
        if not found:
            return None
        created, updated, alive, turns, chain = found
        return Session(
            key=key,
            created_at=float(created),
            updated_at=float(updated),
            expires_at=int(alive) / 1_000_000,
            turns=int(turns),
            chain=int(chain),
        )

    async def turns(
        self, key: SessionKey, *, after: int = 0, limit: int = 100
    ) -> Sequence[KeptTurn]:
        with _told():
            return [turn_from_bytes(kept) for kept in await self._run("turns", key, after, limit)]

    async def recent(self, key: SessionKey, *, chain: int, limit: int) -> Sequence[KeptTurn]:
        with _told():
            found = await self._run("recent", key, chain, limit)
        return [turn_from_bytes(kept) for kept in reversed(found)]

    async def restore(
        self, key: SessionKey, turns: Sequence[KeptTurn], *, seconds_to_live: float
    ) -> None:
        check_all(turns)
        arguments: list[Any] = []
        for turn in turns:
            arguments += [turn_to_bytes(turn), len(turn.request_ids), *turn.request_ids]
        with _told():
            await self.use_pictures(key, pictures_of(turns))
            written = await self._run_noted(
                "restore",
                key,
                seconds_to_live,
                micro(seconds_to_live),
                repr(turns[0].created_at),
                repr(turns[-1].created_at),
                turns[-1].chain,
                len(turns),
                *arguments,
            )
        if not written:
            raise ValueError("the session exists")

    async def delete(self, key: SessionKey) -> Sequence[str]:
        with _told():
            return await self._free(key, await self._run("delete", key))

    async def expire(self) -> Sequence[tuple[str, str]]:
        unused: list[tuple[str, str]] = []
        with _told():
            while True:
                now = self._now()
                due = await self._client.zrange(
                    INDEX, "-inf", now, byscore=True, offset=0, num=SWEPT_AT_ONCE
                )
                for member in due:
                    key = key_of(member.decode())
                    unused += [(key.tenant, sha256) for sha256 in await self._sweep(key, now)]
                if len(due) < SWEPT_AT_ONCE:
                    return unused

    async def publish(self, gateway: str, message: bytes) -> None:
        with _told():
            await self._client.publish(channel_of(gateway), message)

    def listen(self, gateway: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        return valkey_messages.listen(self._client, channel_of(gateway))

    async def ping(self) -> None:
        with _told():
            await self._client.ping()

    async def check_durability(self) -> list[str]:
        """What of the server's settings would lose sessions, in sentences; each is logged as a warning. Empty: nothing
        was found."""
        with _told():
            said = await self._client.info()
        problems = []
        if not said.get("aof_enabled"):
            problems.append("appendonly is off: a restart of the store loses every session")
        if said.get("maxmemory_policy", "noeviction") != "noeviction":
            problems.append("maxmemory-policy is not noeviction: the store may drop sessions")
        for problem in problems:
            log.warning("store is not durable", problem=problem)
        return problems

    async def _sweep(self, key: SessionKey, now: float) -> list[str]:
        alive, *hashes = await self._run("expire", key)
        if alive:
            # Always later than now, or a server whose clock is behind would be asked again and again.
            later = max(int(alive) / 1_000_000, now + 1)
            await self._client.zadd(INDEX, {member_of(key): later}, xx=True)
            return []
        unused = await self._free(key, hashes)
        await self._eval("forget_session", [INDEX], [member_of(key), repr(now)])
        return unused

    async def _free(self, key: SessionKey, hashes: Iterable[bytes]) -> list[str]:
        """Ends the session's use of the pictures; those that nobody uses now."""
        noted = [sha256.decode() for sha256 in hashes]
        unused = [
            sha256
            for sha256 in noted
            if await self._eval("free_picture", [picture_key(key.tenant, sha256)], [member_of(key)])
        ]
        if noted:
            pictures = keys_of(key)[4]
            await self._client.execute_command("SREM", pictures, *noted)
        return unused

    async def _run_noted(self, name: str, key: SessionKey, seconds: float, *arguments: Any) -> Any:
        """Runs a script that may make a session, after noting when a sweep should look at it: so nothing is written
        that no sweep ever looks at. One round trip."""
        called = script(name)
        keys = keys_of(key)
        rest = (len(keys), *keys, self._time(), *arguments)
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.zadd(INDEX, {member_of(key): self._now() + seconds})
            pipe.execute_command("EVALSHA", called.sha1, *rest)
            noted, result = await pipe.execute(raise_on_error=False)
        if isinstance(noted, Exception):
            raise noted
        if isinstance(result, NoScriptError):
            return await self._client.execute_command("EVAL", called.source, *rest)
        if isinstance(result, Exception):
            raise result
        return result

    async def _look_sooner(self, key: SessionKey, settled: bytes) -> None:
        """A session whose last request ended badly may be over before it was to be looked at."""
        if settled:
            await self._client.zadd(
                INDEX, {member_of(key): int(settled) / 1_000_000}, xx=True, lt=True
            )

    def _now(self) -> float:
        return time.time() if self._clock is None else self._clock()

    async def _run(self, name: str, key: SessionKey, *arguments: Any) -> Any:
        return await self._eval(name, keys_of(key), [self._time(), *arguments])

    def _time(self) -> str | int:
        """What the scripts take as the time; empty: the server's clock."""
        return "" if self._clock is None else micro(self._clock())

    async def _eval(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        called = script(name)
        rest = (len(keys), *keys, *arguments)
        try:
            return await self._client.execute_command("EVALSHA", called.sha1, *rest)
        except NoScriptError:  # a server that was restarted knows no scripts; nothing ran
            return await self._client.execute_command("EVAL", called.source, *rest)


def _told() -> Any:
    return told("store", RedisError, OSError)
