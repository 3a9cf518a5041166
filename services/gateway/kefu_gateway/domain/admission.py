"""Admission: a bounded number of turns run, a bounded number wait, the rest hears no at once.

    async with admission.slot(cost_tokens, deadline): ...

Weighted by estimated tokens (text and visual), because ten turns with ten pictures each are not ten one-line questions.
First come, first served: a large turn at the head is not overtaken by small ones, or it would never run.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.deadline import Deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionLimits:
    """Turns that run at once, tokens that they may take together, and turns that may wait."""

    turns: int = 64
    tokens: int = 262_144
    queue: int = 256


class _Waiter(NamedTuple):
    """One turn in the queue: told by `future`; `since`: when it came, by time.monotonic()."""

    future: asyncio.Future[None]
    cost: int
    since: float


class Admission:
    """Counts what runs and what waits. `changed(running, queued)` is told after every change."""

    def __init__(self, limits: AdmissionLimits, changed: Callable[[int, int], None]) -> None:
        self._limits = limits
        self._changed = changed
        self._running = 0
        self._tokens = 0
        self._waiting: deque[_Waiter] = deque()
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def limits(self) -> AdmissionLimits:
        return self._limits

    @property
    def tokens(self) -> int:
        """What the running turns take together."""
        return self._tokens

    def oldest_seconds(self) -> float:
        """How long the head of the queue has waited; 0 where nobody waits. May be asked from any thread."""
        try:
            return time.monotonic() - self._waiting[0].since
        except IndexError:
            return 0.0

    async def idle(self) -> None:
        """Returns when nothing runs and nothing waits."""
        await self._idle.wait()

    def drain(self) -> None:
        """From now on nothing new is admitted; what waits is sent away, what runs may finish."""
        self._draining = True
        while self._waiting:
            future = self._waiting.popleft().future
            if not future.done():
                future.set_exception(_draining_error())
        self._tell()

    @asynccontextmanager
    async def slot(self, cost: int, deadline: Deadline) -> AsyncIterator[None]:
        """Holds a place worth `cost` tokens. Raises DRAINING, OVERLOADED (at once) or DEADLINE_EXCEEDED."""
        if self._draining:
            raise _draining_error()
        # A turn that alone is larger than the capacity runs alone rather than never.
        cost = min(cost, self._limits.tokens)
        if self._waiting or not self._fits(cost):
            await self._wait(cost, deadline)
        else:
            self._take(cost)
        try:
            yield
        finally:
            self._running -= 1
            self._tokens -= cost
            self._wake()

    async def _wait(self, cost: int, deadline: Deadline) -> None:
        if len(self._waiting) >= self._limits.queue:
            raise KefuError(
                Reason.OVERLOADED,
                "the gateway has as much work as it may hold",
                queue="admission",
                limit=self._limits.queue,
            )
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = _Waiter(future, cost, time.monotonic())
        self._waiting.append(entry)
        self._tell()
        try:
            async with asyncio.timeout(deadline.check("admit")):
                await future
        except TimeoutError:
            self._leave(entry)
            deadline.check("admit")
            raise
        except BaseException:
            self._leave(entry)
            raise

    def _leave(self, entry: _Waiter) -> None:
        """Someone gives up waiting; a place that was granted in the same moment goes to the next."""
        future, cost, _ = entry
        if entry in self._waiting:
            self._waiting.remove(entry)
        elif future.done() and not future.cancelled() and future.exception() is None:
            self._running -= 1
            self._tokens -= cost
        self._wake()

    def _fits(self, cost: int) -> bool:
        return self._running < self._limits.turns and self._tokens + cost <= self._limits.tokens

    def _take(self, cost: int) -> None:
        self._running += 1
        self._tokens += cost
        self._tell()

    def _wake(self) -> None:
        while self._waiting:
            future, cost, _ = self._waiting[0]
            if future.done():
                self._waiting.popleft()
                continue
            if not self._fits(cost):
                break
            self._waiting.popleft()
            self._take(cost)
            future.set_result(None)
        self._tell()

    def _tell(self) -> None:
        if self._running or self._waiting:
            self._idle.clear()
        else:
            self._idle.set()
        self._changed(self._running, len(self._waiting))


def _draining_error() -> KefuError:
    return KefuError(Reason.DRAINING, "this gateway is going down; another one takes the call")
