"""Prepared pictures and drawn documents in memory, least recently used out first, bounded by bytes."""

from __future__ import annotations

from collections import OrderedDict

from kefu_preprocess.domain.values import Prepared, Rendered

# What a report and its key weigh beside the pictures, roughly.
_OVERHEAD_BYTES = 2048


class MemoryCache:
    """Implements `domain.ports.Cache`. `capacity` in bytes; 0 keeps nothing. One thread only (the event loop's)."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[str, Prepared | Rendered] = OrderedDict()
        self._bytes = 0

    @property
    def size(self) -> int:
        """Bytes held."""
        return self._bytes

    def get(self, key: str) -> Prepared | Rendered | None:
        """What was put under the key, or None."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: str, result: Prepared | Rendered) -> None:
        """What weighs more than a quarter of the capacity is not kept: it would push out everything else."""
        weight = _weight(result)
        if weight * 4 > self._capacity or key in self._entries:
            return
        self._entries[key] = result
        self._bytes += weight
        while self._bytes > self._capacity:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= _weight(oldest)


def _weight(result: Prepared | Rendered) -> int:
    if isinstance(result, Rendered):
        return sum(len(page.data) + _OVERHEAD_BYTES for page in result.pages)
    return len(result.data) + len(result.marked) + _OVERHEAD_BYTES
