"""From the engine's one thread to the thread of a request, in few and full hands.

    outbox = Outbox(0.01)
    outbox.put(token)                   # the engine's thread; the first at once, then what came in 10 ms together
    outbox.put(end, at_once=True)
    for one in outbox.take(0.02): …     # the request's thread; nothing after 20 ms

A message to Triton costs a third of a millisecond of CPU in three processes, whatever is in it, and each wakes a thread
here. A model with steps of 10 ms or more notices nothing; a faster one sends several tokens in a message, and no caller
sees the difference: 100 messages a second are more than a screen shows.
"""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from typing import Generic, TypeVar

from engines.base import Sampling

# How long a token waits for those behind it, where the caller reads along and where it wants the answer alone. Then,
# too, a sign of life comes often enough for whoever watches over the engine.
STREAM_SECONDS = 0.01
WHOLE_SECONDS = 0.5

_Item = TypeVar("_Item")


class Outbox(Generic[_Item]):
    """`interval`: seconds between two hands."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._handed = -math.inf
        self._lock = threading.Lock()
        self._kept: list[_Item] = []
        self._hands: queue.SimpleQueue[list[_Item]] = queue.SimpleQueue()

    @classmethod
    def of(cls, sampling: Sampling) -> Outbox[_Item]:
        return cls(STREAM_SECONDS if sampling.stream else WHOLE_SECONDS)

    def put(self, item: _Item, *, at_once: bool = False) -> None:
        """`at_once`: without waiting for others, as the last one must."""
        with self._lock:
            self._kept.append(item)
            if not (at_once or self._due()):
                return
            kept, self._kept = self._kept, []
            self._hands.put(kept)

    def take(self, seconds: float) -> list[_Item]:
        """What was handed over, at once if there is something; empty after `seconds`."""
        with contextlib.suppress(queue.Empty):
            return self._hands.get(timeout=seconds) + self._handed_over()
        with self._lock:
            late = self._handed_over()
            # A token that was kept for the next one, which takes its time.
            if self._kept and self._due():
                late += self._kept
                self._kept = []
            return late

    def _handed_over(self) -> list[_Item]:
        found: list[_Item] = []
        while not self._hands.empty():
            found += self._hands.get()
        return found

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self._handed < self.interval:
            return False
        self._handed = now
        return True
