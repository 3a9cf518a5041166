"""The same work asked for twice at once is done once.

flight: SingleFlight[str, Prepared] = SingleFlight()
prepared, joined = await flight.do(key, lambda: workers.run(job))
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class _Flight(Generic[T]):
    __slots__ = ("task", "waiting")

    def __init__(self, task: asyncio.Task[T]) -> None:
        self.task = task
        self.waiting = 0


class SingleFlight(Generic[K, T]):
    """One event loop only. Whoever asks while the same key is under way waits for that result, or for its error.

    A caller who goes away leaves the work to the others; when the last one goes, the work is cancelled.
    """

    def __init__(self) -> None:
        self._flights: dict[K, _Flight[T]] = {}

    def __len__(self) -> int:
        """Keys under way."""
        return len(self._flights)

    def __contains__(self, key: K) -> bool:
        """Whether the key is under way: asking now would join."""
        return key in self._flights

    async def do(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> tuple[T, bool]:
        """The result of `work`, and whether another caller's work gave it. Raises what the work raises."""
        flight = self._flights.get(key)
        joined = flight is not None
        if flight is None:
            flight = _Flight(asyncio.create_task(work()))
            flight.task.add_done_callback(lambda _: self._landed(key, flight))
            self._flights[key] = flight
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task), joined
        except asyncio.CancelledError:
            if flight.waiting == 1 and not flight.task.done():
                flight.task.cancel()
                # Whoever comes now must not join what is being torn down.
                self._landed(key, flight)
            raise
        finally:
            flight.waiting -= 1

    def _landed(self, key: K, flight: _Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if flight.task.done() and not flight.task.cancelled():
            flight.task.exception()  # seen, though all who waited may have gone
