"""A request goes into its session's inbox, and its caller waits for the turn that answers it.

Whoever submits first takes the session's lease and runs its turns (`holder.py`); everyone else waits for news, and asks
the store from time to time, so that a lost message or a dead gateway costs a moment and never an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from contextvars import Context
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.answer import Answer, Answered, Event
from kefu_gateway.domain.deadline import Deadline
from kefu_gateway.domain.holder import Holder, HolderSettings, TurnMaker, error_of
from kefu_gateway.domain.mailboxes import Mailboxes, Told
from kefu_gateway.domain.session import Entry, Failure, SessionKey, SessionStore
from kefu_gateway.domain.splicing import Interrupted, Splice

log = structlog.get_logger()

# News that the store told: it does not say which holder's.
FROM_STORE = 0


@dataclass(frozen=True, slots=True)
class Poke:
    """To a session's holder: look into the inbox."""

    key: SessionKey


@dataclass(frozen=True, slots=True)
class NewsFor:
    """To the gateway where a caller waits."""

    key: SessionKey
    request_id: str
    told: Told


Post = Poke | NewsFor


class Courier(Protocol):
    """Takes posts to other gateways, in order, without making the sender wait. A post may be lost."""

    def send(self, gateway: str, post: Post) -> None: ...


class Conversations:
    """The sessions of this gateway's callers."""

    def __init__(
        self,
        *,
        store: SessionStore,
        maker: TurnMaker,
        courier: Courier,
        settings: HolderSettings,
        poll_seconds: float = 1.0,
        clock: Callable[[], float] = time.time,
        restarted: Callable[[], None] = lambda: None,
    ) -> None:
        """`poll_seconds`: how often a waiting caller asks the store. `restarted`: told when a part that arrived before
        the first token makes a running turn begin anew."""
        self._store = store
        self._maker = maker
        self._courier = courier
        self._settings = settings
        self._poll = poll_seconds
        self._clock = clock
        self._restarted = restarted
        self._mailboxes = Mailboxes()
        self._holders: dict[SessionKey, tuple[Holder, asyncio.Task[None]]] = {}
        self._leaving = False

    @property
    def held(self) -> int:
        """Sessions whose turns this gateway runs now."""
        return len(self._holders)

    def entry(
        self, request_id: str, fingerprint: str, payload: bytes, arrived_at: float | None = None
    ) -> Entry:
        """An entry that arrives here, now where nothing else is said."""
        return Entry(
            request_id=request_id,
            fingerprint=fingerprint,
            payload=payload,
            arrived_at=self._clock() if arrived_at is None else arrived_at,
            gateway=self._settings.gateway,
        )

    async def answer(
        self,
        key: SessionKey,
        entry: Entry,
        deadline: Deadline,
        *,
        leave_when_closed: bool = True,
        submitted: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[Event, None]:
        """Submits a request and gives the events of the turn that answers it; the last one is Answered.

        `submitted` is called when the request is in the inbox.
        Closing the iterator early takes the request back, unless `leave_when_closed` is False: then the answer is
        written down all the same, and the same `request_id` finds it. Raises KefuError.
        """
        splice = Splice()
        finished = False
        with self._mailboxes.waiting(key, entry.request_id) as queue:
            try:
                told = await self._submit(key, entry)
                submitted()
                while True:
                    if told is None:
                        told = await self._next(queue, deadline)
                    if told is None:
                        told = await self._submit(key, entry)
                        continue
                    if isinstance(told.news, Failure):
                        finished = True
                        raise error_of(told.news)
                    for event in splice.take(told):
                        finished = isinstance(event, Answered)
                        yield event
                    if finished:
                        return
                    told = None
            except Interrupted:
                raise _interrupted(key) from None
            finally:
                if not finished and leave_when_closed:
                    await asyncio.shield(asyncio.create_task(self._withdraw(key, entry)))

    async def resume(
        self, key: SessionKey, request_id: str, deadline: Deadline
    ) -> AsyncGenerator[Event, None]:
        """The events of a request that was submitted before, as `answer` gives them: from now on where it still runs,
        the outcome where it has one. Raises KefuError where nothing is known of it: send it again."""
        outcome = await self._store.outcome(key, request_id)
        if isinstance(outcome, Answer):
            yield Answered(replace(outcome, request_id=request_id, cached=True))
            return
        if outcome is not None:
            raise error_of(outcome)
        waiting = [
            entry for entry in await self._store.pending(key) if entry.request_id == request_id
        ]
        if not waiting:
            raise KefuError(
                Reason.FIELD_INVALID,
                "nothing is known of this request: it never arrived, or its session is gone; send it again",
                field="start.resume_request_id",
                request_id=request_id,
            )
        events = self.answer(key, waiting[0], deadline, leave_when_closed=False)
        async with contextlib.aclosing(events):
            async for event in events:
                yield event

    async def cancel(self, key: SessionKey, request_id: str) -> None:
        """Takes a request back; the work for it stops where no other request shares its turn."""
        await self._take_back(key, request_id)

    def drain(self) -> None:
        """From now on sessions are held for callers of this gateway alone, who are all known: others' go to others."""
        self._leaving = True
        for holder, _ in self._holders.values():
            holder.leave()

    async def idle(self) -> None:
        """Returns when no session is held. A turn that runs here may be one that another gateway's caller waits for:
        cut off after its first word, it would fail them both."""
        while self._holders:
            await asyncio.wait([task for _, task in self._holders.values()])

    async def close(self) -> None:
        """Stops holding. What is still in an inbox is answered by whoever takes the session next."""
        held = list(self._holders.values())
        for _, task in held:
            task.cancel()
        await asyncio.gather(*(task for _, task in held), return_exceptions=True)
        for holder, _ in held:
            with contextlib.suppress(KefuError):
                await holder.hand_over()

    def receive(self, post: Post) -> None:
        """A post from another gateway."""
        match post:
            case Poke(key):
                self._poke_local(key)
            case NewsFor(key, request_id, told):
                self._mailboxes.deliver(key, request_id, told)

    async def _submit(self, key: SessionKey, entry: Entry) -> Told | None:
        """Puts the request into the inbox, or finds what became of it. Holds the session if nobody else does."""
        submission = await self._store.submit(
            key,
            entry,
            holder=self._settings.gateway,
            lease_seconds=self._settings.lease_seconds,
        )
        if submission.state == "conflict":
            raise KefuError(
                Reason.REQUEST_ID_CONFLICT,
                "this request_id was used before for a different question",
                field="question.request_id",
                request_id=entry.request_id,
            )
        if isinstance(submission.outcome, Answer):
            again = replace(submission.outcome, request_id=entry.request_id, cached=True)
            return Told(FROM_STORE, Answered(again))
        if submission.outcome is not None:
            return Told(FROM_STORE, submission.outcome)
        if submission.fence is not None:
            self._hold(key, submission.fence)
        elif submission.state == "new" and submission.holder:
            self._courier.send(submission.holder, Poke(key))
        return None

    async def _next(self, queue: asyncio.Queue[Told], deadline: Deadline) -> Told | None:
        """The next news, or None when it is time to ask the store."""
        if not queue.empty():
            return queue.get_nowait()
        try:
            async with asyncio.timeout(min(self._poll, deadline.check("join"))):
                return await queue.get()
        except TimeoutError:
            return None

    async def _withdraw(self, key: SessionKey, entry: Entry) -> None:
        if self._mailboxes.waiters(key, entry.request_id) > 1:
            return  # the same request is waited for by another call
        with contextlib.suppress(KefuError):
            await self._take_back(key, entry.request_id)

    async def _take_back(self, key: SessionKey, request_id: str) -> None:
        holder = await self._store.withdraw(key, request_id)
        if holder == self._settings.gateway:
            self._poke_local(key)
        elif holder:
            self._courier.send(holder, Poke(key))

    def _hold(self, key: SessionKey, fence: int) -> None:
        running = self._holders.get(key)
        if running is not None and running[0].fence == fence:
            running[0].poke()
            return
        holder = Holder(
            key,
            fence,
            store=self._store,
            maker=self._maker,
            tell=self._tell,
            settings=self._settings,
            clock=self._clock,
            restarted=self._restarted,
        )
        if self._leaving:
            holder.leave()
        # It outlives the call that starts it, and serves others' requests: nothing of that call is its own.
        task = asyncio.create_task(self._run(holder), context=Context())
        self._holders[key] = (holder, task)

    async def _run(self, holder: Holder) -> None:
        try:
            await holder.run()
        except KefuError as error:
            # Its callers ask the store themselves, and are told what is wrong with it.
            log.warning("stopped holding a session", reason=error.reason.value)
        except Exception:
            log.exception("stopped holding a session")
        finally:
            running = self._holders.get(holder.key)
            if running is not None and running[0] is holder:
                del self._holders[holder.key]

    def _poke_local(self, key: SessionKey) -> None:
        running = self._holders.get(key)
        if running is not None:
            running[0].poke()

    def _tell(self, key: SessionKey, entry: Entry, told: Told) -> None:
        # A request that was sent again through this gateway waits here, wherever it was first received.
        self._mailboxes.deliver(key, entry.request_id, told)
        if entry.gateway != self._settings.gateway:
            self._courier.send(entry.gateway, NewsFor(key, entry.request_id, told))


def _interrupted(key: SessionKey) -> KefuError:
    return KefuError(
        Reason.TURN_INTERRUPTED,
        "the gateway that was answering went away; the same request_id again gives the whole answer",
        session_id=key.session_id,
    )
