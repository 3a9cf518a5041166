"""Admission: a bounded number of turns run, a bounded number wait, the rest hears no at once.

    async with admission.slot(cost_tokens, deadline): ...

Weighted by estimated tokens (text and visual), because ten turns with ten pictures each are not ten one-line questions.
Tenants wait in queues of their own (`fair_queue.py`), so that the flood of one does not starve another. In each it is
first come, first served: a large turn at the head is not overtaken by small ones, or it would never run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.deadline import Deadline
from kefu_gateway.domain.fair_queue import FairQueue, Waiter


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionLimits:
    """Turns that run at once, tokens that they may take together, and turns that may wait."""

    turns: int = 64
    tokens: int = 262_144
    queue: int = 256


class Admission:
    """Counts what runs and what waits. `changed(running, queued)` is told after every change."""

    def __init__(self, limits: AdmissionLimits, changed: Callable[[int, int], None]) -> None:
        self._limits = limits
        self._changed = changed
        self._running = 0
        self._tokens = 0
        self._waiting = FairQueue()
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
        """How long the one that came first has waited; 0 where nobody waits. May be asked from any thread."""
        return self._waiting.oldest_seconds()

    async def idle(self) -> None:
        """Returns when nothing runs and nothing waits."""
        await self._idle.wait()

    def drain(self) -> None:
        """From now on nothing new is admitted; what waits is sent away, what runs may finish."""
        self._draining = True
        for waiter in self._waiting.clear():
            if not waiter.future.done():
                waiter.future.set_exception(_draining_error())
        self._tell()

    @asynccontextmanager
    async def slot(
        self, cost: int, deadline: Deadline, *, tenant: str = "", weight: float = 1.0
    ) -> AsyncIterator[None]:
        """Holds a place worth `cost` tokens; `weight`: the tenant's share where several wait. Raises DRAINING,
        OVERLOADED (at once; or later, where others come who have less in the queue) or DEADLINE_EXCEEDED."""
        if self._draining:
            raise _draining_error()
        # A turn that alone is larger than the capacity runs alone rather than never.
        cost = min(cost, self._limits.tokens)
        if self._waiting or not self._fits(cost):
            await self._wait(cost, deadline, tenant, weight)
        else:
            self._waiting.passed(tenant, cost, weight)
            self._take(cost)
        try:
            yield
        finally:
            self._running -= 1
            self._tokens -= cost
            self._wake()

    async def _wait(self, cost: int, deadline: Deadline, tenant: str, weight: float) -> None:
        if len(self._waiting) >= self._limits.queue:
            crowding = self._waiting.crowding_out(tenant, weight)
            if crowding is None:
                raise self._overloaded()
            self._waiting.remove(crowding)
            if not crowding.future.done():
                crowding.future.set_exception(self._overloaded())
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = self._waiting.push(future, tenant, cost, weight)
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

    def _overloaded(self) -> KefuError:
        return KefuError(
            Reason.OVERLOADED,
            "the gateway has as much work as it may hold",
            queue="admission",
            limit=self._limits.queue,
        )

    def _leave(self, entry: Waiter) -> None:
        """Someone gives up waiting; a place that was granted in the same moment goes to the next."""
        future = entry.future
        waited = self._waiting.remove(entry)
        granted = future.done() and not future.cancelled() and future.exception() is None
        if not waited and granted:
            self._running -= 1
            self._tokens -= entry.cost
        self._wake()

    def _fits(self, cost: int) -> bool:
        return self._running < self._limits.turns and self._tokens + cost <= self._limits.tokens

    def _take(self, cost: int) -> None:
        self._running += 1
        self._tokens += cost
        self._tell()

    def _wake(self) -> None:
        while (waiter := self._waiting.first()) is not None:
            if waiter.future.done():
                self._waiting.remove(waiter)
                continue
            if not self._fits(waiter.cost):
                break
            self._waiting.served(waiter)
            self._take(waiter.cost)
            waiter.future.set_result(None)
        self._tell()

    def _tell(self) -> None:
        if self._running or self._waiting:
            self._idle.clear()
        else:
            self._idle.set()
        self._changed(self._running, len(self._waiting))


def _draining_error() -> KefuError:
    return KefuError(Reason.DRAINING, "this gateway is going down; another one takes the call")
