"""Conversations as values, and the port to where they are kept (DESIGN, section 7).

One session has one open turn at a time, whichever gateway its parts reach. The rules that every store keeps:

- A request is submitted once: the same `request_id` again finds the first one, running or answered.
- The requests of a session wait in its inbox, in order of arrival, until a turn that answers them is committed.
- Whoever runs a session's turn holds its lease. Each lease has a fence, larger than every one before it; a commit with
  an older fence is refused. So a holder that was thought dead can never write over its successor.
- A commit is one step: the turn is appended, its requests leave the inbox, their outcome is known. When it returns, it
  survives kill -9.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from kefu_gateway.domain.answer import Answer


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Whose session, and which. No store ever finds a session by its name alone."""

    tenant: str
    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPart:
    """One part of a question as it is remembered: text, or a picture by the SHA-256 of its bytes as sent."""

    request_id: str
    text: str = ""
    picture_sha256: str = ""
    media_type: str = ""
    crop_mode: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTurn:
    """One round. `number` counts from 1 without gaps; `chain` from 1, a new topic starts the next one.

    `created_at`: seconds since the epoch. `answer` names the last of `request_ids`.
    """

    number: int
    chain: int
    request_ids: tuple[str, ...]
    parts: tuple[KeptPart, ...]
    answer: Answer
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What is known of a session. Times in seconds since the epoch."""

    key: SessionKey
    created_at: float
    updated_at: float
    expires_at: float
    turns: int
    chain: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One request in a session's inbox. `payload` is the question as the wire has it, without picture bytes (they are
    in the picture store by hash); `fingerprint` tells a repeated request from another one with the same id.

    `arrived_at`: seconds since the epoch. `gateway`: who received it and waits to tell its caller.
    """

    request_id: str
    fingerprint: str
    payload: bytes
    arrived_at: float
    gateway: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A request that ended with an error: the reason's name, a sentence, and the request's metadata."""

    reason: str
    message: str
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What became of a submitted request.

    new: it is in the inbox now. running: the same request is there already. done: it has its outcome. conflict: another
    question had this id. `fence` is set where the submitter has the lease; else `holder` names who has it.
    """

    state: Literal["new", "running", "done", "conflict"]
    outcome: Answer | Failure | None = None
    fence: int | None = None
    holder: str = ""


class LeaseLost(Exception):
    """Another gateway holds the session now; what this one wanted to write was not written."""


class SessionStore(Protocol):
    """Keeps sessions, inboxes, leases and outcomes. Every method may raise KefuError(STORE_UNAVAILABLE)."""

    async def submit(
        self, key: SessionKey, entry: Entry, *, holder: str, lease_seconds: float
    ) -> Submission:
        """Puts a request into the inbox unless it is known, and takes the lease for `holder` if it is free (or is
        `holder`'s own: the running fence is given again). One round trip."""
        ...

    async def acquire(self, key: SessionKey, *, holder: str, lease_seconds: float) -> int | None:
        """Takes the lease if it is free or has run out; its fence, or None where another holds it."""
        ...

    async def renew(self, key: SessionKey, fence: int, *, lease_seconds: float) -> bool:
        """Prolongs the lease. False: it is another's."""
        ...

    async def release(self, key: SessionKey, fence: int) -> bool:
        """Gives the lease back if the inbox is empty: True. False: something arrived meanwhile, or it is another's; the
        holder looks into the inbox again. (So no request is left behind between a last look and the release.)"""
        ...

    async def pending(self, key: SessionKey) -> Sequence[Entry]:
        """The inbox, in order of arrival."""
        ...

    async def use_pictures(self, key: SessionKey, hashes: Sequence[str]) -> None:
        """Notes that the session uses these pictures: from now on a deletion elsewhere leaves them, and the session's
        own end gives them free. Called before the bytes are put into the picture store, so that none is ever left there
        with nobody to delete it. `commit` and `restore` note the pictures of their turns themselves."""
        ...

    async def withdraw(self, key: SessionKey, request_id: str) -> str:
        """Takes a request back whose caller has gone; the name of the session's holder, "" where there is none, or the
        request was no longer in the inbox."""
        ...

    async def commit(
        self,
        key: SessionKey,
        fence: int,
        turn: KeptTurn,
        *,
        seconds_to_live: float,
        keep_turn: bool = True,
    ) -> None:
        """Appends the turn and gives its requests their outcome, in one step. `keep_turn` False: only the outcome is
        kept (a one-off). Raises LeaseLost where the fence is old, ValueError where `turn.number` is not the next."""
        ...

    async def fail(
        self, key: SessionKey, fence: int, request_ids: Sequence[str], failure: Failure
    ) -> None:
        """Ends requests with an error. They leave the inbox; the same id may be submitted again. Raises LeaseLost."""
        ...

    async def outcome(self, key: SessionKey, request_id: str) -> Answer | Failure | None:
        """The outcome of a request, as long as its session lives."""
        ...

    async def session(self, key: SessionKey) -> Session | None: ...

    async def turns(
        self, key: SessionKey, *, after: int = 0, limit: int = 100
    ) -> Sequence[KeptTurn]:
        """Turns with a number above `after`, oldest first."""
        ...

    async def recent(self, key: SessionKey, *, chain: int, limit: int) -> Sequence[KeptTurn]:
        """The last `limit` turns of a chain, oldest first."""
        ...

    async def restore(
        self, key: SessionKey, turns: Sequence[KeptTurn], *, seconds_to_live: float
    ) -> None:
        """Writes an exported session back. Raises ValueError where the session exists."""
        ...

    async def delete(self, key: SessionKey) -> Sequence[str]:
        """Deletes a session; gives the hashes of pictures that no other session of the tenant uses now."""
        ...

    async def expire(self) -> Sequence[tuple[str, str]]:
        """Deletes what has outlived its time; gives (tenant, hash) of pictures that nobody uses any more."""
        ...

    async def publish(self, gateway: str, message: bytes) -> None:
        """Sends a message to another gateway (a piece of an answer for one of its callers). May be lost: whoever waits
        also asks for the outcome."""
        ...

    def listen(self, gateway: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The messages to this gateway, from the moment of entering."""
        ...

    async def ping(self) -> None:
        """Returns where the store answers."""
        ...


class PictureStore(Protocol):
    """Keeps pictures by the SHA-256 of their bytes, each tenant's apart."""

    async def put(self, tenant: str, data: bytes) -> str:
        """Stores the bytes (once); their hash. Durable on return."""
        ...

    async def get(self, tenant: str, sha256: str) -> bytes | None: ...

    async def delete(self, tenant: str, sha256: str) -> None: ...
