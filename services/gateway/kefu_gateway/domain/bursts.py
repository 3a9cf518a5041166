"""Bursts: which of the waiting requests make the next turn, and when it begins (DESIGN, section 6). No I/O, no clock.

    plan(arrivals, now, BurstRules())  →  Go(members) | Wait(until) | Idle()

A question goes at once; a picture alone waits a moment for its question; `more_to_come` holds the turn open; a full
turn closes. The same plan is asked again whenever a request arrives: as long as the running turn has no first token, a
larger plan replaces it, and after that the rest is the next turn's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstRules:
    """Seconds that a picture waits for its question, seconds that `more_to_come` may hold a turn open, and the most
    requests that one turn joins."""

    window: float = 0.5
    hold: float = 10.0
    most: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A waiting request as the rules see it. `at`: seconds on any clock, the same for all.

    `kind` tells what may share a turn: requests for different models or scenarios never do.
    """

    request_id: str
    at: float
    has_text: bool
    more_to_come: bool = False
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Go:
    """These make a turn, now, in this order."""

    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing yet; ask again at this time, or when something arrives."""

    until: float


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing is waiting."""


def plan(arrivals: Sequence[Arrival], now: float, rules: BurstRules) -> Go | Wait | Idle:
    """What to do with the waiting requests, given in order of arrival."""
    if not arrivals:
        return Idle()
    members = _joinable(arrivals, rules)
    go = Go(tuple(member.request_id for member in members))
    full = len(members) == rules.most
    # What follows cannot join: waiting longer would only delay both.
    followed = len(members) < len(arrivals)
    if full or followed:
        return go
    until = _ready_at(members, rules)
    return go if now >= until else Wait(until)


def _joinable(arrivals: Sequence[Arrival], rules: BurstRules) -> Sequence[Arrival]:
    """The first requests that may share a turn: order is kept, so the first that may not ends it."""
    count = 0
    while count < min(len(arrivals), rules.most) and arrivals[count].kind == arrivals[0].kind:
        count += 1
    return arrivals[:count]


def _ready_at(members: Sequence[Arrival], rules: BurstRules) -> float:
    last = members[-1]
    if last.more_to_come:
        return last.at + rules.hold
    if any(member.has_text for member in members):
        return last.at
    return members[0].at + rules.window
