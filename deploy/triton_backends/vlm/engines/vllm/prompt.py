"""Token ids as vLLM's processors look for them.

The contract has one placeholder token a picture.  Most families' processors look for just that; MiniCPM-V's looks for
the tokens of a text, `picture.engine_text` of its card, and finds nothing otherwise.  `end_tokens` of a card are those
that end an answer where the publisher's code names more of them than its files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from engines.base import Card


def end_ids(card: Card, tokenizer: Path) -> tuple[int, ...]:
    """The card's `end_tokens`; ValueError for one that the tokenizer does not know."""
    names = [str(name) for name in card.raw.get("end_tokens") or ()]
    known = Tokenizer.from_file(str(tokenizer)) if names else None
    found = []
    for name in names:
        token = known.token_to_id(name) if known is not None else None
        if token is None:
            raise ValueError(
                f"{tokenizer} has no token {name!r}, which the card's end_tokens names"
            )
        found.append(token)
    return tuple(found)


class PromptIds:
    """Made once a model; `ids` is called for each prompt."""

    def __init__(self, card: Card, tokenizer: Path) -> None:
        text = str((card.raw.get("picture") or {}).get("engine_text") or "")
        self._placeholder = card.placeholder_id
        self._instead: list[int] = []
        if text:
            found = Tokenizer.from_file(str(tokenizer)).encode(text, add_special_tokens=False)
            self._instead = found.ids

    def ids(self, ids: Sequence[int]) -> list[int]:
        """The prompt with each placeholder in the form that the model's processor knows."""
        if not self._instead:
            return list(ids)
        found: list[int] = []
        for token in ids:
            if token == self._placeholder:
                found += self._instead
            else:
                found.append(token)
        return found
