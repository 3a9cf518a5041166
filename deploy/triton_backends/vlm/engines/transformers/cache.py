"""Keys and values of a batch whose rows come and go.

Every row ends in the last column and is padded on the left, so that all of them write into the same next one.  The
buffers have room ahead: a token is written in place, where the library's own cache would copy everything.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers.cache_utils import Cache, DynamicLayer

_ROOM = 128  # columns


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """One layer; `keys` and `values` are views [rows, heads, used, head size] of the buffers."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self._buffers: list[torch.Tensor] = []
        self._used = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self._used + key_states.shape[-2]
        if not self._buffers or end > self._buffers[0].shape[-2]:
            old = self._buffers
            self._buffers = [_wide(states, end + _ROOM) for states in (key_states, value_states)]
            for buffer, before in zip(self._buffers, old, strict=False):
                buffer[..., : self._used, :] = before[..., : self._used, :]
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[..., self._used : end, :] = states
        self._show(end)
        return self.keys, self.values

    def get_seq_length(self) -> int:
        return self._used

    def _show(self, used: int) -> None:
        self._used = used
        self.keys, self.values = (buffer[..., :used, :] for buffer in self._buffers)

    def cut_back(self, used: int) -> None:
        """Forgets what was written behind the first `used` columns (a step that broke half-way)."""
        if self._used > used:
            self._show(used)

    def keep(self, rows: torch.Tensor, first: int, *, room: int = _ROOM) -> None:
        """Only these rows, and only the columns from `first` on."""
        columns = self._used - first
        kept = []
        for buffer in self._buffers:
            states = buffer[..., first : self._used, :]
            new = buffer.new_empty(len(rows), *buffer.shape[1:-2], columns + room, buffer.shape[-1])
            new[..., :columns, :] = states[rows]
            kept.append(new)
        self._buffers = kept
        self._show(columns)

    def join(self, other: RoomyLayer) -> None:
        """The rows of another batch below these; the shorter ones are padded with zeros, which no mask lets through."""
        columns = max(self._used, other._used)
        joined = []
        for mine, theirs in zip(self._buffers, other._buffers, strict=True):
            rows = mine.shape[0] + theirs.shape[0]
            new = mine.new_empty(rows, *mine.shape[1:-2], columns + _ROOM, mine.shape[-1])
            start = 0
            for buffer, used in ((mine, self._used), (theirs, other._used)):
                end = start + buffer.shape[0]
                new[start:end, ..., : columns - used, :] = 0
                new[start:end, ..., columns - used : columns, :] = buffer[..., :used, :]
                start = end
            joined.append(new)
        self._buffers = joined
        self._show(columns)


def _wide(states: torch.Tensor, columns: int) -> torch.Tensor:
    return states.new_empty(*states.shape[:-2], columns, states.shape[-1])


class RoomyCache(Cache):  # type: ignore[misc]
    """All layers of a batch; the library fills it, one layer after the other."""

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=RoomyLayer)

    @property
    def columns(self) -> int:
        return self.layers[0].get_seq_length() if self.layers else 0

    def cut_back(self, columns: int) -> None:
        for layer in self.layers:
            layer.cut_back(columns)

    def keep(self, rows: Sequence[int], first: int) -> None:
        index = torch.tensor(rows, device=self.layers[0].device)
        for layer in self.layers:
            layer.keep(index, first)

    def join(self, other: RoomyCache) -> None:
        for mine, theirs in zip(self.layers, other.layers, strict=True):
            mine.join(theirs)

    def part(self, row: int, first: int, end: int) -> RoomyCache:
        """A copy of one row's columns from `first` to `end`."""
        copy = RoomyCache()
        for layer in self.layers:
            new = RoomyLayer()
            new.update(
                layer.keys[row : row + 1, ..., first:end, :].clone(),
                layer.values[row : row + 1, ..., first:end, :].clone(),
            )
            copy.layers.append(new)
        return copy
