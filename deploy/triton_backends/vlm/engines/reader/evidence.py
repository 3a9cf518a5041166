"""Which rows an answer rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engines.reader.claims import Grounds
from engines.reader.ocr import Page
from engines.reader.rows import Row
from engines.reader.text import normal, overlap, terms, weights

_MOST = 4


@dataclass(frozen=True, slots=True)
class Source:
    """A row, and the picture it is on (its place in the request, from 0)."""

    picture: int
    row: Row

    def as_json(self) -> dict[str, Any]:
        return {
            "picture": self.picture,
            "text": self.row.text,
            "box": list(self.row.box),
            "score": round(self.row.score, 3),
        }


def sources_of(pages: Sequence[Page]) -> list[Source]:
    return [Source(i, row) for i, page in enumerate(pages) for row in page.rows]


def supporting(answer: str, question: str, sources: Sequence[Source]) -> list[Source]:
    """Rows that say what the answer says, best first, at most four; empty when none does.

    A row counts by the numbers that it shares with the answer and by shared words; the question breaks ties (of two
    rows with `¥329.00` the one with the word that was asked for).
    """
    if not sources or not answer.strip():
        return []
    texts = [s.row.text for s in sources]
    weight = weights(texts)
    said, asked = terms(answer), terms(question)
    numbers = [c.text for c in Grounds([answer]).claims(answer)]
    scored = []
    for index, text in enumerate(texts):
        row_terms = terms(text)
        grounds = Grounds([text])
        shared_numbers = sum(any(c.grounded for c in grounds.claims(n)) for n in numbers)
        words = overlap(said - asked, row_terms, weight)
        score = 4.0 * shared_numbers + words
        if _holds(text, answer):
            score += 2.0
        if score > 0:
            scored.append((score + 0.5 * overlap(asked, row_terms, weight), -index))
    if not scored:
        return []
    scored.sort(reverse=True)
    best = scored[0][0]
    return [sources[-i] for score, i in scored[:_MOST] if score >= 0.5 * best]


def _holds(row: str, answer: str) -> bool:
    """True when the answer is part of the row or the row's value part of the answer."""
    row, answer = normal(row).lower(), normal(answer).lower().strip(" .。")
    value = row.rpartition(": ")[2].strip()
    return (len(answer) > 1 and answer in row) or (len(value) > 1 and value in answer)
