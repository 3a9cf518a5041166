"""A session store in memory, for tests on a virtual clock (the real ones wait on threads and sockets, which no virtual
clock can move). It passes the same contract suite as they do.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

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


@dataclass
class Kept:
    """Everything of one session."""

    inbox: list[Entry] = field(default_factory=list)
    outcomes: dict[str, tuple[str, Answer]] = field(default_factory=dict)
    turns: list[KeptTurn] = field(default_factory=list)
    fence: int = 0
    holder: str = ""
    lease_until: float = 0.0
    created_at: float = 0.0
    expires_at: float = 0.0
    noted: set[str] = field(default_factory=set)

    def pictures(self) -> set[str]:
        kept = {part.picture_sha256 for turn in self.turns for part in turn.parts}
        return (kept | self.noted) - {""}


class MemoryStore:
    """`clock`: seconds since the epoch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sessions: dict[SessionKey, Kept] = {}
        self._queues: dict[str, list[asyncio.Queue[bytes]]] = {}
        self.lost_posts: Callable[[], bool] = lambda: False

    def _of(self, key: SessionKey) -> Kept:
        return self._sessions.setdefault(key, Kept(created_at=self._clock()))

    def _lease(self, kept: Kept, holder: str, seconds: float) -> int | None:
        held = kept.holder and kept.lease_until > self._clock()
        if held and kept.holder != holder:
            return None
        if not held:
            kept.fence += 1
        kept.holder, kept.lease_until = holder, self._clock() + seconds
        return kept.fence

    def _mine(self, kept: Kept, fence: int) -> bool:
        return kept.fence == fence and bool(kept.holder) and kept.lease_until > self._clock()

    async def submit(
        self, key: SessionKey, entry: Entry, *, holder: str, lease_seconds: float
    ) -> Submission:
        kept = self._of(key)
        if entry.request_id in kept.outcomes:
            fingerprint, answer = kept.outcomes[entry.request_id]
            if fingerprint != entry.fingerprint:
                return Submission(state="conflict")
            return Submission(state="done", outcome=answer)
        same = [one for one in kept.inbox if one.request_id == entry.request_id]
        if same and same[0].fingerprint != entry.fingerprint:
            return Submission(state="conflict")
        if not same:
            kept.inbox.append(entry)
        fence = self._lease(kept, holder, lease_seconds)
        return Submission(
            state="running" if same else "new", fence=fence, holder="" if fence else kept.holder
        )

    async def acquire(self, key: SessionKey, *, holder: str, lease_seconds: float) -> int | None:
        return self._lease(self._of(key), holder, lease_seconds)

    async def renew(self, key: SessionKey, fence: int, *, lease_seconds: float) -> bool:
        kept = self._of(key)
        if not self._mine(kept, fence):
            return False
        kept.lease_until = self._clock() + lease_seconds
        return True

    async def release(self, key: SessionKey, fence: int) -> bool:
        kept = self._of(key)
        if kept.inbox or not self._mine(kept, fence):
            return False
        kept.holder = ""
        return True

    async def pending(self, key: SessionKey) -> Sequence[Entry]:
        return tuple(self._of(key).inbox)

    async def use_pictures(self, key: SessionKey, hashes: Sequence[str]) -> None:
        self._of(key).noted.update(hashes)

    async def withdraw(self, key: SessionKey, request_id: str) -> str:
        kept = self._of(key)
        left = [entry for entry in kept.inbox if entry.request_id != request_id]
        gone = len(left) < len(kept.inbox)
        kept.inbox = left
        return kept.holder if gone and kept.lease_until > self._clock() else ""

    async def commit(
        self,
        key: SessionKey,
        fence: int,
        turn: KeptTurn,
        *,
        seconds_to_live: float,
        keep_turn: bool = True,
    ) -> None:
        kept = self._of(key)
        if not self._mine(kept, fence):
            raise LeaseLost
        if keep_turn:
            if turn.number != len(kept.turns) + 1:
                raise ValueError("not the next turn")
            kept.turns.append(turn)
        for entry in kept.inbox:
            if entry.request_id in turn.request_ids:
                kept.outcomes[entry.request_id] = (entry.fingerprint, turn.answer)
        kept.inbox = [entry for entry in kept.inbox if entry.request_id not in turn.request_ids]
        kept.expires_at = self._clock() + seconds_to_live

    async def fail(
        self, key: SessionKey, fence: int, request_ids: Sequence[str], failure: Failure
    ) -> None:
        kept = self._of(key)
        if not self._mine(kept, fence):
            raise LeaseLost
        kept.inbox = [entry for entry in kept.inbox if entry.request_id not in request_ids]

    async def outcome(self, key: SessionKey, request_id: str) -> Answer | Failure | None:
        found = self._of(key).outcomes.get(request_id)
        return found[1] if found else None

    async def session(self, key: SessionKey) -> Session | None:
        kept = self._sessions.get(key)
        if kept is None or not kept.turns:
            return None
        return Session(
            key=key,
            created_at=kept.created_at,
            updated_at=kept.turns[-1].created_at,
            expires_at=kept.expires_at,
            turns=len(kept.turns),
            chain=kept.turns[-1].chain,
        )

    async def turns(
        self, key: SessionKey, *, after: int = 0, limit: int = 100
    ) -> Sequence[KeptTurn]:
        return tuple(turn for turn in self._of(key).turns if turn.number > after)[:limit]

    async def recent(self, key: SessionKey, *, chain: int, limit: int) -> Sequence[KeptTurn]:
        return tuple(turn for turn in self._of(key).turns if turn.chain == chain)[-limit:]

    async def restore(
        self, key: SessionKey, turns: Sequence[KeptTurn], *, seconds_to_live: float
    ) -> None:
        if self._of(key).turns:
            raise ValueError("the session exists")
        self._of(key).turns = list(turns)
        self._of(key).expires_at = self._clock() + seconds_to_live

    async def delete(self, key: SessionKey) -> Sequence[str]:
        gone = self._sessions.pop(key, Kept())
        return self._orphans(key.tenant, gone)

    async def expire(self) -> Sequence[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for key, kept in list(self._sessions.items()):
            if kept.expires_at and kept.expires_at <= self._clock():
                del self._sessions[key]
                found += [(key.tenant, sha) for sha in self._orphans(key.tenant, kept)]
        return found

    def _orphans(self, tenant: str, gone: Kept) -> list[str]:
        used = {
            sha256
            for key, kept in self._sessions.items()
            if key.tenant == tenant
            for sha256 in kept.pictures()
        }
        return sorted(gone.pictures() - used)

    async def publish(self, gateway: str, message: bytes) -> None:
        if not self.lost_posts():
            for queue in self._queues.get(gateway, ()):
                queue.put_nowait(message)

    @asynccontextmanager
    async def listen(self, gateway: str) -> AsyncIterator[AsyncIterator[bytes]]:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._queues.setdefault(gateway, []).append(queue)

        async def messages() -> AsyncIterator[bytes]:
            while True:
                yield await queue.get()

        try:
            yield messages()
        finally:
            self._queues[gateway].remove(queue)

    async def ping(self) -> None:
        return None


class MemoryPictures:
    """A picture store in memory."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], bytes] = {}

    async def put(self, tenant: str, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        self.held[tenant, sha256] = data
        return sha256

    async def get(self, tenant: str, sha256: str) -> bytes | None:
        return self.held.get((tenant, sha256))

    async def delete(self, tenant: str, sha256: str) -> None:
        self.held.pop((tenant, sha256), None)
