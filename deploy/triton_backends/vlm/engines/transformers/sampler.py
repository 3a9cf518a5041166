"""Logits to tokens, for all rows at once and each in its own way.

A row's answer must not depend on who shares its batch: every row draws from a generator of its own, one number a token,
and looks it up in its own distribution.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from engines.transformers.penalties import Penalties


@dataclass(frozen=True, slots=True)
class Choice:
    """How one row chooses: `draws` is None for greedy, `top_k` 0 for all tokens."""

    temperature: float
    top_p: float
    draws: random.Random | None
    top_k: int = 0
    min_p: float = 0.0


def choice(
    temperature: float, top_p: float, seed: int | None, top_k: int = 0, min_p: float = 0.0
) -> Choice:
    draws = None if temperature == 0 else random.Random(seed)  # noqa: S311 (no secret)
    return Choice(temperature, top_p, draws, top_k, min_p)


class Sampler:
    """`forbidden`: ids that no row may write; `size`: of the vocabulary."""

    def __init__(self, size: int, forbidden: Sequence[int], device: torch.device) -> None:
        self._size = size
        self._forbidden = torch.zeros(size, dtype=torch.bool)
        self._forbidden[list(forbidden)] = True
        self._forbidden = self._forbidden.to(device)
        self._bits = torch.arange(32, dtype=torch.int32, device=device)

    def pick(
        self,
        logits: torch.Tensor,
        choices: Sequence[Choice],
        masks: Mapping[int, NDArray[np.int32]],
        penalties: Mapping[int, tuple[Penalties, Sequence[int]]] = MappingProxyType({}),
    ) -> tuple[list[int], list[float]]:
        """logits [rows, vocabulary]; a token a row, and its log-probability as the model alone sees it (temperature 1,
        nothing forbidden), NaN where the model broke.  `masks`: for some rows what they may write, a bit a token.
        `penalties`: for some rows theirs, with their answers so far."""
        logits = logits.float()
        scores = logits.masked_fill(self._forbidden, -torch.inf)
        if masks:
            rows = torch.tensor(list(masks), device=logits.device)
            words = torch.from_numpy(np.stack(list(masks.values()))).to(logits.device)
            allowed = (words.unsqueeze(-1) >> self._bits & 1).flatten(1)[:, : self._size].bool()
            scores[rows] = scores[rows].masked_fill(~allowed, -torch.inf)
        for row, (one, answer) in penalties.items():
            scores[row] = one.apply(scores[row], answer)
        tokens = scores.argmax(dim=-1)
        drawing = [i for i, c in enumerate(choices) if c.draws is not None]
        if drawing:
            rows = torch.tensor(drawing, device=logits.device)
            tokens[rows] = self._draw(scores[rows], [choices[i] for i in drawing])
        logprobs = torch.log_softmax(logits, dim=-1).gather(1, tokens.unsqueeze(1)).squeeze(1)
        return tokens.tolist(), logprobs.tolist()

    def _draw(self, scores: torch.Tensor, choices: Sequence[Choice]) -> torch.Tensor:
        def column(values: list[float]) -> torch.Tensor:
            return torch.tensor(values, device=scores.device).unsqueeze(1)

        scaled = scores / column([c.temperature for c in choices])
        ordered, order = torch.softmax(scaled, dim=-1).sort(dim=-1, descending=True, stable=True)
        if any(c.top_k or c.min_p for c in choices):
            ordered = self._cut(ordered, choices)
        before = ordered.cumsum(dim=-1) - ordered
        # The most probable one stays, however small top_p is.
        ordered = ordered.masked_fill(before >= column([c.top_p for c in choices]), 0.0)
        reached = ordered.cumsum(dim=-1)
        drawn = column([c.draws.random() for c in choices if c.draws is not None])
        place = (reached <= drawn * reached[:, -1:]).sum(dim=-1, keepdim=True)
        # Rounding may put the draw behind the last one that is possible at all.
        place = torch.minimum(place, (ordered > 0).sum(dim=-1, keepdim=True) - 1)
        return order.gather(1, place).squeeze(1)

    def _cut(self, ordered: torch.Tensor, choices: Sequence[Choice]) -> torch.Tensor:
        """Only the `top_k` best, and of them those that `min_p` lets pass; top_p is then a share of what is left, as in
        vLLM.  Rows that ask for neither keep their numbers to the last bit."""

        def column(values: list[float]) -> torch.Tensor:
            return torch.tensor(values, device=ordered.device).unsqueeze(1)

        places = torch.arange(ordered.shape[1], device=ordered.device)
        far = places >= column([c.top_k or ordered.shape[1] for c in choices])
        rare = ordered < column([c.min_p for c in choices]) * ordered[:, :1]
        kept = ordered.masked_fill(far | rare, 0.0)
        cut = column([float(bool(c.top_k or c.min_p)) for c in choices]).bool()
        return torch.where(cut, kept / kept.sum(dim=-1, keepdim=True), ordered)
