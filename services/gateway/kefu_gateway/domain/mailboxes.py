"""Where callers of this gateway wait for what happens to their requests.

The same request may be waited for twice (a caller that lost its connection and asks again): each waits at a queue of
its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kefu_gateway.domain.answer import Answered, Delta
from kefu_gateway.domain.session import Failure, SessionKey

News = Delta | Answered | Failure


@dataclass(frozen=True, slots=True)
class Told:
    """News of a request, and the fence of the holder that told it: a later one began the turn anew."""

    fence: int
    news: News


class Mailboxes:
    """Queues by session and request."""

    def __init__(self) -> None:
        self._queues: dict[tuple[SessionKey, str], list[asyncio.Queue[Told]]] = {}

    @contextmanager
    def waiting(self, key: SessionKey, request_id: str) -> Iterator[asyncio.Queue[Told]]:
        """A queue that receives the request's news while open."""
        # Unbounded, and bounded all the same: by the most tokens that an answer may have.
        queue: asyncio.Queue[Told] = asyncio.Queue()
        queues = self._queues.setdefault((key, request_id), [])
        queues.append(queue)
        try:
            yield queue
        finally:
            queues.remove(queue)
            if not queues:
                del self._queues[key, request_id]

    def waiters(self, key: SessionKey, request_id: str) -> int:
        """How many calls wait for this request."""
        return len(self._queues.get((key, request_id), ()))

    def deliver(self, key: SessionKey, request_id: str, told: Told) -> None:
        for queue in self._queues.get((key, request_id), ()):
            queue.put_nowait(told)
