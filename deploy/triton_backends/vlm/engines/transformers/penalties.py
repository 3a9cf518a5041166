"""Lower scores for tokens that were there already, one row's.

    penalties = Penalties(prompt_ids, repetition=1.05, presence=0.0)
    scores = penalties.apply(scores, row.answer)        # before temperature, at every token

repetition: tokens of the prompt and of the answer; a positive score is divided by it, a negative one multiplied (the
penalty of CTRL, https://arxiv.org/abs/1909.05858, in the form that the library's RepetitionPenaltyLogitsProcessor and
vLLM give it). presence: is subtracted once from the score of each token of the answer (OpenAI's and vLLM's).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch


class Penalties:
    """What was there is kept as marks beside the scores: a long prompt is looked at once, and not at every token."""

    def __init__(self, prompt: Sequence[int], *, repetition: float, presence: float) -> None:
        self._prompt = prompt
        self._repetition = repetition
        self._presence = presence
        self._seen: torch.Tensor | None = None
        self._written: torch.Tensor | None = None
        self._counted = 0

    def apply(self, scores: torch.Tensor, answer: Sequence[int]) -> torch.Tensor:
        """scores [vocabulary]; other scores of the same shape."""
        if self._seen is None or self._written is None:
            self._seen = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
            self._written = self._seen.clone()
            # A picture's place may stand outside of what the model can write.
            _mark(self._seen, [i for i in set(self._prompt) if 0 <= i < len(scores)])
        new, self._counted = answer[self._counted :], len(answer)
        _mark(self._seen, new)
        _mark(self._written, new)
        lowered = torch.where(scores > 0, scores / self._repetition, scores * self._repetition)
        return torch.where(self._seen, lowered, scores) - self._presence * self._written


def _mark(marks: torch.Tensor, ids: Sequence[int]) -> None:
    if ids:
        marks[torch.tensor(ids, device=marks.device)] = True
