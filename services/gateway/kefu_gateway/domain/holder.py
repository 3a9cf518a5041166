"""The holder of a session: the one task, of all gateways, that runs the session's turns while it has the lease.

It looks into the inbox, asks the burst rules what to do, runs the turn, and tells everyone who waits. It stops when the
inbox is empty and the lease is given back, or when the lease is another's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Protocol

from kefu_common.calls import rename
from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.answer import Answered, Delta, Event
from kefu_gateway.domain.bursts import Arrival, BurstRules, Go, Idle, Wait, plan
from kefu_gateway.domain.mailboxes import News, Told
from kefu_gateway.domain.session import Entry, Failure, LeaseLost, SessionKey, SessionStore
from kefu_gateway.domain.turn import Turn


class TurnMaker(Protocol):
    """Makes turns of entries, and runs them down the second half of the road."""

    def arrival(self, entry: Entry) -> Arrival:
        """The entry as the burst rules see it."""
        ...

    async def merge(self, key: SessionKey, fence: int, entries: Sequence[Entry]) -> Turn:
        """One turn of all the entries' parts, in order. Raises KefuError."""
        ...

    def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """recall … remember."""
        ...


# Tells one waiting request, on whichever gateway it waits, what happened.
Tell = Callable[[SessionKey, Entry, Told], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderSettings:
    """`gateway`: this gateway's name. Seconds of a lease; it is renewed at a third of that."""

    gateway: str
    rules: BurstRules
    lease_seconds: float = 6.0


class Holder:
    """Runs the turns of one session. `clock`: seconds since the epoch, as the entries' `arrived_at`."""

    def __init__(
        self,
        key: SessionKey,
        fence: int,
        *,
        store: SessionStore,
        maker: TurnMaker,
        tell: Tell,
        settings: HolderSettings,
        clock: Callable[[], float],
        restarted: Callable[[], None] = lambda: None,
    ) -> None:
        """`restarted` is told when a running turn gives way to a larger one."""
        self.key = key
        self.fence = fence
        self._store = store
        self._maker = maker
        self._tell = tell
        self._settings = settings
        self._clock = clock
        self._restarted = restarted
        self._poked = asyncio.Event()
        self._leaving = False

    def leave(self) -> None:
        """This gateway is going down: the turn that runs is finished, and what only other gateways' callers wait for
        then is theirs."""
        self._leaving = True
        self.poke()

    async def hand_over(self) -> None:
        """Lets the lease run out now: whoever asks for the session next has it, without waiting for its end."""
        await self._store.renew(self.key, self.fence, lease_seconds=0.0)

    def poke(self) -> None:
        """Something arrived, or was withdrawn: look again."""
        self._poked.set()

    async def run(self) -> None:
        """Until the inbox is empty or the lease is lost. Raises KefuError(STORE_UNAVAILABLE)."""
        renewing = asyncio.create_task(self._renew())
        working = asyncio.create_task(self._work())
        try:
            # Whoever cannot renew must stop before the lease runs out, or two would answer.
            await asyncio.wait({renewing, working}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (renewing, working):
                task.cancel()
            results = await asyncio.gather(renewing, working, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, LeaseLost):
                raise result

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_seconds / 3)
            lease = self._settings.lease_seconds
            if not await self._store.renew(self.key, self.fence, lease_seconds=lease):
                return

    async def _work(self) -> None:
        while True:
            self._poked.clear()
            entries = await self._store.pending(self.key)
            if self._leaving and self._only_others(entries):
                await self.hand_over()
                return
            match self._plan(entries):
                case Idle():
                    if await self._store.release(self.key, self.fence):
                        return
                    lease = self._settings.lease_seconds
                    if not await self._store.renew(self.key, self.fence, lease_seconds=lease):
                        return
                case Wait(until):
                    await self._poke_or(until)
                case Go(members):
                    chosen = [entry for entry in entries if entry.request_id in members]
                    await self._turn(chosen)

    def _only_others(self, entries: Sequence[Entry]) -> bool:
        ours = self._settings.gateway
        return bool(entries) and all(entry.gateway != ours for entry in entries)

    def _plan(self, entries: Sequence[Entry]) -> Go | Wait | Idle:
        arrivals = [self._maker.arrival(entry) for entry in entries]
        return plan(arrivals, self._clock(), self._settings.rules)

    async def _poke_or(self, until: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - self._clock())):
                await self._poked.wait()

    async def _turn(self, entries: Sequence[Entry]) -> None:
        """Runs one turn; returns early, with nothing told, where a larger one must take its place."""
        rename(entries[-1].request_id)
        try:
            turn = await self._maker.merge(self.key, self.fence, entries)
        except KefuError as error:
            await self._failed(entries, error)
            return
        running = asyncio.create_task(self._pump(turn, entries))
        try:
            while not running.done():
                poked = asyncio.create_task(self._poked.wait())
                await asyncio.wait({running, poked}, return_when=asyncio.FIRST_COMPLETED)
                poked.cancel()
                if not running.done() and await self._replaced(turn, entries):
                    return
            await running
        except KefuError as error:
            await self._failed(entries, error)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _replaced(self, turn: Turn, entries: Sequence[Entry]) -> bool:
        """Whether what arrived or left makes another turn of this one."""
        self._poked.clear()
        pending = await self._store.pending(self.key)
        left = {entry.request_id for entry in pending}
        members = tuple(entry.request_id for entry in entries)
        if left.isdisjoint(members):
            return True  # nobody waits for this answer any more
        if turn.first_token_at is not None:
            return False  # from the first token on, what arrives is the next turn's
        if self._plan(pending) == Go(members):
            return False
        self._restarted()
        return True

    async def _pump(self, turn: Turn, entries: Sequence[Entry]) -> None:
        async with aclosing(self._maker.run(turn)) as events:
            async for event in events:
                for entry in entries:
                    if isinstance(event, Delta):
                        self._say(entry, event)
                    elif isinstance(event, Answered):
                        answer = replace(event.answer, request_id=entry.request_id)
                        self._say(entry, Answered(answer))

    async def _failed(self, entries: Sequence[Entry], error: KefuError) -> None:
        failure = failure_of(error)
        ids = [entry.request_id for entry in entries]
        await self._store.fail(self.key, self.fence, ids, failure)
        for entry in entries:
            self._say(entry, failure)

    def _say(self, entry: Entry, news: News) -> None:
        self._tell(self.key, entry, Told(self.fence, news))


def failure_of(error: KefuError) -> Failure:
    """An error as it is kept and sent between gateways."""
    metadata = dict(error.metadata)
    if error.field is not None:
        metadata["field"] = error.field
    return Failure(
        reason=error.reason.value, message=error.message, metadata=tuple(sorted(metadata.items()))
    )


def error_of(failure: Failure) -> KefuError:
    """The error again."""
    metadata: dict[str, Any] = dict(failure.metadata)
    field = metadata.pop("field", None)
    return KefuError(Reason(failure.reason), failure.message, field=field, **metadata)
