"""Reads an answer while it is written, and stops it before a number that no source has."""

from __future__ import annotations

import re

from engines.reader.claims import Grounds

# A claim is settled once this many characters that cannot belong to it follow, or one that ends every claim.
_ENDS_CLAIM = re.compile(r"[。，；！？、\n!?;()（）\"“”]")
_LOOK_AHEAD = 14
_MONTH_WORD = re.compile(
    r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]*\.?\s*$", re.IGNORECASE
)


class ClaimCheck:
    """See `engines.gate.Check`; `checked` counts the numbers, dates and ids that were looked at."""

    def __init__(self, grounds: Grounds) -> None:
        self._grounds = grounds
        self.checked = 0

    def settled(self, text: str) -> int:
        """Characters from the start that no further text can make part of another claim."""
        month = _MONTH_WORD.search(text)
        end = month.start() if month else len(text)
        claims = list(self._grounds.claims(text))
        if not claims:
            return end
        last = claims[-1]
        tail = text[last.end :]
        if len(tail) >= _LOOK_AHEAD or _ENDS_CLAIM.search(tail):
            return end
        return min(end, last.start)

    def first_unsupported(self, text: str) -> int | None:
        """Where the first claim stands that no source supports."""
        claims = list(self._grounds.claims(text))
        self.checked = len(claims)
        return next((c.start for c in claims if not c.grounded), None)
