"""Requests of one session go into its inbox in the order in which they came through this gateway's door.

    with turnstile.ticket(key) as ticket:
        ...                      # pictures are prepared meanwhile, of several requests at once
        await ticket.turn()      # everyone who came earlier is in the inbox, or has given up
        ...; ticket.passed()     # now I am in

A picture takes longer to prepare than a sentence. Without this, "three photos and which one is broken?" would become a
question without photos, answered before they are ready. Nothing is lost by waiting: the turn needs the photos anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from kefu_gateway.domain.session import SessionKey


class Ticket:
    """A place in a session's queue at the door."""

    def __init__(self, earlier: Ticket | None) -> None:
        self._earlier = earlier
        self._passed = asyncio.Event()

    async def turn(self) -> None:
        """Returns when everyone with an earlier ticket has passed or given up."""
        while self._earlier is not None:
            await self._earlier._passed.wait()
            # One who gave up may have left before those in front of him: they are still in front of me.
            self._earlier = self._earlier._earlier

    def passed(self) -> None:
        self._passed.set()

    def behind(self) -> bool:
        """Whether anyone in front has not passed yet."""
        while self._earlier is not None and self._earlier._passed.is_set():
            self._earlier = self._earlier._earlier
        return self._earlier is not None


class Turnstile:
    """Hands out tickets, a queue for every session."""

    def __init__(self) -> None:
        self._last: dict[SessionKey, Ticket] = {}

    @contextmanager
    def ticket(self, key: SessionKey) -> Iterator[Ticket]:
        """A ticket behind all that were given out; leaving gives it up."""
        mine = Ticket(self._last.get(key))
        self._last[key] = mine
        try:
            yield mine
        finally:
            mine.passed()
            # The last to leave takes the queue away, but not while someone in front is still on the way.
            if self._last.get(key) is mine and not mine.behind():
                del self._last[key]
