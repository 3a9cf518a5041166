"""A queue in which tenants wait for places in proportion to their weights, however many questions each has there.

Start-time fair queueing (Goyal, Vin and Cheng, 1996): virtual time goes on with what is served; a tenant's next turn
starts where its last one ended, but not before it arrived; whoever's next turn starts first is served first. With one
tenant that is first come, first served. A question that leaves the queue leaves no trace: starts are worked out for the
first of each tenant only.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

# More tenants than this are forgotten where their past does not matter any more.
PRUNED_FROM = 1024


@dataclass(slots=True, eq=False)
class Waiter:
    """One turn in the queue, told by `future`. `since`: when it came, by time.monotonic()."""

    future: asyncio.Future[None]
    tenant: str
    cost: int
    weight: float
    arrived: float
    since: float = field(default_factory=time.monotonic)


class FairQueue:
    def __init__(self) -> None:
        self._now = 0.0  # virtual time: cost per weight
        self._ends: dict[str, float] = {}  # where the last served turn of a tenant ends
        self._lines: dict[str, deque[Waiter]] = {}
        self._order: deque[Waiter] = deque()

    def __len__(self) -> int:
        return len(self._order)

    def oldest_seconds(self) -> float:
        """How long the one that came first has waited; 0 where nobody waits. May be asked from any thread."""
        try:
            return time.monotonic() - self._order[0].since
        except IndexError:
            return 0.0

    def push(self, future: asyncio.Future[None], tenant: str, cost: int, weight: float) -> Waiter:
        waiter = Waiter(future, tenant, cost, weight, arrived=self._now)
        self._lines.setdefault(tenant, deque()).append(waiter)
        self._order.append(waiter)
        return waiter

    def first(self) -> Waiter | None:
        """Who is served next. Of two that start together, the one that came first."""
        heads = [line[0] for line in self._lines.values()]
        return min(heads, key=lambda head: (self._start(head), head.since), default=None)

    def served(self, waiter: Waiter) -> None:
        """Takes it out, and goes on in virtual time."""
        start = self._start(waiter)
        self.remove(waiter)
        self._serve(waiter.tenant, start, waiter.cost / waiter.weight)

    def passed(self, tenant: str, cost: int, weight: float) -> None:
        """A turn that did not have to wait was served."""
        self._serve(tenant, max(self._now, self._ends.get(tenant, 0.0)), cost / weight)

    def remove(self, waiter: Waiter) -> bool:
        """Takes it out unserved. False: it was not in here any more."""
        line = self._lines.get(waiter.tenant)
        if line is None or waiter not in line:
            return False
        line.remove(waiter)
        if not line:
            del self._lines[waiter.tenant]
        self._order.remove(waiter)
        return True

    def crowding_out(self, tenant: str, weight: float) -> Waiter | None:
        """Who must go where the queue is full and `tenant` comes: the last one of the tenant that fills the most of its
        share, if that is more than `tenant` would then. So no flood keeps the others out."""
        mine = (len(self._lines.get(tenant, ())) + 1) / weight
        longest = max(
            self._lines.values(), key=lambda line: len(line) / line[-1].weight, default=None
        )
        if longest is None or len(longest) / longest[-1].weight <= mine:
            return None
        return longest[-1]

    def clear(self) -> list[Waiter]:
        """Everybody who waits, in the order of arrival; then nobody does."""
        everybody = list(self._order)
        self._order.clear()
        self._lines.clear()
        return everybody

    def _start(self, waiter: Waiter) -> float:
        return max(waiter.arrived, self._ends.get(waiter.tenant, 0.0))

    def _serve(self, tenant: str, start: float, length: float) -> None:
        self._now = max(self._now, start)
        self._ends[tenant] = start + length
        if len(self._ends) > PRUNED_FROM:
            # What ended before now has no effect on any start.
            self._ends = {name: end for name, end in self._ends.items() if end > self._now}
