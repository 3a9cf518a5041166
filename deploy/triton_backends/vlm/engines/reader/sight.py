"""Questions that need eyes: damage, colours, objects, faces, looks.

The reader sees text and nothing else.  A question about how something looks is not passed to the language model, which
would make an answer up, unless the page has words about just that (`颜色: 白色`, `Reason: damaged on arrival`).
"""

from __future__ import annotations

from collections.abc import Sequence

from engines.reader.text import normal
from engines.reader.words import any_of, read_words

_KINDS = tuple((any_of(k["asks"]), any_of(k["answers"])) for k in read_words("sight.toml")["kind"])


def needs_eyes(question: str, rows: Sequence[str]) -> bool:
    """True for a question about looks that no row has words for."""
    asked = normal(question)
    for asks, answers in _KINDS:
        if asks.search(asked):
            return not any(answers.search(normal(row)) for row in rows)
    return False
