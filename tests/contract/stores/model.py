"""The session port in its plainest form: dictionaries, one step at a time. What the stores are compared with.

It is written from the port's words (domain/session.py), not from any store. Its fences count 1, 2, 3; stores may skip.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kefu_gateway.domain.answer import Answer
from kefu_gateway.domain.session import Entry, Failure, KeptTurn, LeaseLost, Session, SessionKey
from tests.contract.stores.builders import Clock


@dataclass
class Kept:
    """All that is known of one session."""

    alive: float
    expires: float = 0.0
    turns: list[KeptTurn] = field(default_factory=list)
    inbox: dict[str, Entry] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, Answer | Failure] = field(default_factory=dict)
    one_offs: set[str] = field(default_factory=set)  # answered without a turn
    holder: str = ""
    fence: int = 0
    until: float = 0.0


class ModelSessions:
    """One tenant's sessions. `pictures`: which session notes which, over all its lives."""

    def __init__(self, clock: Clock, unanswered: float) -> None:
        self._clock = clock
        self._unanswered = unanswered
        self._kept: dict[SessionKey, Kept] = {}
        self._fence = 0
        self.pictures: dict[SessionKey, set[str]] = {}

    def find(self, key: SessionKey) -> Kept | None:
        kept = self._kept.get(key)
        return kept if kept and kept.alive > self._clock() else None

    def _make(self, key: SessionKey) -> Kept:
        kept = self.find(key) or Kept(0)
        kept.alive = max(kept.alive, self._clock() + self._unanswered)
        self._kept[key] = kept
        return kept

    def submit(self, key: SessionKey, entry: Entry, holder: str, lease: float) -> tuple[Any, ...]:
        kept = self.find(key) or Kept(0)
        waits = entry.request_id in kept.inbox
        outcome = kept.outcomes.get(entry.request_id)
        if waits or isinstance(outcome, Answer):
            if kept.fingerprints[entry.request_id] != entry.fingerprint:
                return ("conflict", None, None, "")
            if isinstance(outcome, Answer):
                return ("done", outcome, None, "")
        kept = self._make(key)
        if not waits:
            kept.inbox[entry.request_id] = entry
            kept.fingerprints[entry.request_id] = entry.fingerprint
            kept.outcomes.pop(entry.request_id, None)
        fence = self._take(kept, holder, lease) if lease else None
        return ("running" if waits else "new", None, fence, "" if fence else kept.holder)

    def acquire(self, key: SessionKey, holder: str, lease: float) -> int | None:
        return self._take(self._make(key), holder, lease)

    def _take(self, kept: Kept, holder: str, lease: float) -> int | None:
        now = self._clock()
        if kept.holder not in ("", holder) and kept.until > now:
            return None
        if kept.holder != holder:
            self._fence += 1
            kept.holder, kept.fence, kept.until = holder, self._fence, 0.0
        kept.until = max(kept.until, now + lease)
        return kept.fence

    def held(self, key: SessionKey, fence: int) -> Kept | None:
        kept = self.find(key)
        return kept if kept and kept.holder and kept.fence == fence else None

    def renew(self, key: SessionKey, fence: int, lease: float) -> bool:
        kept = self.held(key, fence)
        if kept:
            kept.until = self._clock() + lease
        return kept is not None

    def release(self, key: SessionKey, fence: int) -> bool:
        kept = self.held(key, fence)
        if kept is None or kept.inbox:
            return False
        kept.holder = ""
        return True

    def pending(self, key: SessionKey) -> list[Entry]:
        kept = self.find(key)
        return list(kept.inbox.values()) if kept else []

    def use_pictures(self, key: SessionKey, hashes: list[str]) -> None:
        self._make(key)
        self.pictures.setdefault(key, set()).update(hashes)

    def withdraw(self, key: SessionKey, request_id: str) -> str:
        kept = self.find(key)
        if kept is None or kept.inbox.pop(request_id, None) is None:
            return ""
        self._settle(kept)
        return kept.holder

    def commit(
        self, key: SessionKey, fence: int, turn: KeptTurn, live: float, keep_turn: bool
    ) -> None:
        kept = self.find(key)
        if kept and keep_turn and turn in kept.turns:
            return
        outcomes = [kept.outcomes.get(one) if kept else None for one in turn.request_ids]
        one_off = kept is not None and kept.one_offs.issuperset(turn.request_ids)
        if not keep_turn and one_off and all(outcome == turn.answer for outcome in outcomes):
            return
        kept = self.held(key, fence)
        if kept is None:
            raise LeaseLost
        if any(isinstance(outcome, Answer) for outcome in outcomes):
            raise ValueError
        until = self._clock() + live
        if keep_turn:
            if turn.number != len(kept.turns) + 1:
                raise ValueError
            if kept.turns and turn.chain < kept.turns[-1].chain:
                raise ValueError
            kept.turns.append(turn)
            hashes = {part.picture_sha256 for part in turn.parts if part.picture_sha256}
            self.pictures.setdefault(key, set()).update(hashes)
        else:
            until = max(until, kept.expires)
            kept.one_offs.update(turn.request_ids)
        for request_id in turn.request_ids:
            kept.inbox.pop(request_id, None)
            kept.outcomes[request_id] = turn.answer
        kept.expires = until
        kept.alive = max(until, self._clock() + self._unanswered) if kept.inbox else until

    def fail(self, key: SessionKey, fence: int, request_ids: list[str], failure: Failure) -> None:
        kept = self.held(key, fence)
        if kept is None:
            raise LeaseLost
        for request_id in request_ids:
            if kept.inbox.pop(request_id, None):
                kept.outcomes[request_id] = failure
        self._settle(kept)

    def _settle(self, kept: Kept) -> None:
        if not kept.inbox and kept.expires > self._clock():
            kept.alive = kept.expires

    def outcome(self, key: SessionKey, request_id: str) -> Answer | Failure | None:
        kept = self.find(key)
        return kept.outcomes.get(request_id) if kept else None

    def session(self, key: SessionKey) -> Session | None:
        kept = self.find(key)
        if kept is None or not kept.turns:
            return None
        return Session(
            key=key,
            created_at=kept.turns[0].created_at,
            updated_at=kept.turns[-1].created_at,
            expires_at=kept.alive,
            turns=len(kept.turns),
            chain=kept.turns[-1].chain,
        )

    def turns(self, key: SessionKey) -> list[KeptTurn]:
        kept = self.find(key)
        return kept.turns if kept else []

    def delete(self, key: SessionKey) -> set[str]:
        self._kept.pop(key, None)
        mine = self.pictures.pop(key, set())
        return mine - set().union(*self.pictures.values())

    def expire(self) -> set[str]:
        over = [key for key, kept in self._kept.items() if kept.alive <= self._clock()]
        return set().union(*[self.delete(key) for key in over])
