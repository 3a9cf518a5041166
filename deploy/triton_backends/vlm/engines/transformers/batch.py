"""The rows that are being answered, and the model: reading prompts, and one token further for everybody.

batch = Batch(model, device)
tokens = sampler.pick(batch.read(rows), …)      # prompts of new rows; the rows are in the batch then
tokens = sampler.pick(batch.step(), …)          # the next token of every row
batch.drop({row})
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch

from engines.transformers.cache import RoomyCache
from engines.transformers.rows import Row


class Batch:
    """Used by one thread."""

    def __init__(self, model: Any, device: torch.device, pad_id: int) -> None:
        self._model = model
        self._device = device
        self._pad_id = pad_id
        self._cache: RoomyCache | None = None
        # [rows, columns]: 1 where a row has a token, 0 where it is padded.
        self._mask = torch.zeros(0, 0, dtype=torch.long, device=device)
        self.rows: list[Row] = []

    @property
    def tokens(self) -> int:
        """That these rows may come to hold."""
        return sum(row.tokens for row in self.rows)

    def read(self, rows: Sequence[Row]) -> torch.Tensor:
        """Reads prompts, and what was already answered of them; the logits [rows, vocabulary] behind them.  The rows
        are in the batch afterwards.  When it raises they are not; who was there before stays, or the batch is empty
        (the memory ended while keys and values were put together)."""
        written = [[*row.prompt.ids, *row.answer] for row in rows]
        longest = max(len(ids) for ids in written)
        ids = torch.full((len(rows), longest), self._pad_id)
        mask = torch.zeros(len(rows), longest, dtype=torch.long)
        axes = rows[0].prompt.positions.shape[0]
        positions = torch.zeros(axes, len(rows), longest, dtype=torch.long)
        for number, (row, text) in enumerate(zip(rows, written, strict=True)):
            first = longest - len(text)
            ids[number, first:] = torch.tensor(text)
            mask[number, first:] = 1
            behind = first + len(row.prompt.ids)
            positions[:, number, first:behind] = row.prompt.positions
            positions[:, number, behind:] = torch.arange(len(row.answer)) + row.prompt.after
        named = {name for row in rows for name in row.prompt.features}
        features = {
            name: torch.cat([r.prompt.features[name] for r in rows if r.prompt.features])
            for name in named
        }
        cache = RoomyCache()
        on_device = mask.to(self._device)
        logits = self._forward(ids, on_device, positions, cache, features)
        try:
            self._join(cache, on_device)
        except BaseException:
            self.clear()
            raise
        self.rows = [*self.rows, *rows]
        return logits

    def step(self) -> torch.Tensor:
        """Feeds every row its last token; the logits behind it, in the order of `rows`.  When it raises, nothing has
        changed."""
        assert self._cache is not None
        ids = torch.tensor([[row.answer[-1]] for row in self.rows])
        axes = self.rows[0].prompt.positions.shape[0]
        positions = torch.tensor([[row.next_position] for row in self.rows]).expand(axes, -1, -1)
        columns = self._cache.columns
        mask = torch.cat([self._mask, self._mask.new_ones(len(self.rows), 1)], dim=1)
        try:
            logits = self._forward(ids, mask, positions, self._cache, {})
        except BaseException:
            self._cache.cut_back(columns)
            raise
        self._mask = mask
        return logits

    def drop(self, rows: Collection[Row]) -> None:
        """These rows leave, and with them the columns that only they had.  When it raises the batch is empty."""
        staying = [i for i, row in enumerate(self.rows) if row not in rows]
        if len(staying) == len(self.rows):
            return
        self.rows = [self.rows[i] for i in staying]
        if not self.rows or self._cache is None:
            self.clear()
            return
        mask = self._mask[torch.tensor(staying, device=self._device)]
        first = int(mask.any(dim=0).long().argmax())
        try:
            self._cache.keep(staying, first)
        except BaseException:
            self.clear()
            raise
        self._mask = mask[:, first:].contiguous()

    def clear(self) -> None:
        """Everybody leaves."""
        self.rows = []
        self._cache = None
        self._mask = self._mask.new_zeros(0, 0)

    def prompt_of(self, row: Row) -> RoomyCache:
        """A copy of the keys and values of a row's prompt."""
        assert self._cache is not None
        number = self.rows.index(row)
        first = int(self._mask[number].argmax())
        return self._cache.part(number, first, first + len(row.prompt.ids))

    def _join(self, cache: RoomyCache, mask: torch.Tensor) -> None:
        if self._cache is None:
            self._cache, self._mask = cache, mask
            return
        self._cache.join(cache)
        width = self._cache.columns
        self._mask = torch.cat([_widened(self._mask, width), _widened(mask, width)])

    def _forward(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        positions: torch.Tensor,
        cache: RoomyCache,
        features: dict[str, torch.Tensor],
    ) -> torch.Tensor:
        output = self._model(
            input_ids=ids.to(self._device),
            attention_mask=mask,
            position_ids=positions.to(self._device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            **{name: value.to(self._device) for name, value in features.items()},
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits


def _widened(mask: torch.Tensor, width: int) -> torch.Tensor:
    return torch.nn.functional.pad(mask, (width - mask.shape[1], 0))
