"""One stream out of the words of several holders.

A turn may be begun anew by another gateway after its caller has heard a part: its gateway went away, or the news of the
end got lost and the store has the answer. Where the new words begin as the old ones did (the same answer found whole, a
seed, temperature 0), the caller just hears the rest. Where they differ, nothing can mend the stream.
"""

from __future__ import annotations

from collections.abc import Iterator

from kefu_gateway.domain.answer import Answered, Delta
from kefu_gateway.domain.mailboxes import Told


class Interrupted(Exception):
    """What is told now does not go on from what the caller has heard."""


class Splice:
    """What one caller has heard, and of whom."""

    def __init__(self) -> None:
        self._heard = ""
        self._fence: int | None = None
        self._again = ""  # of a holder that begins anew: as far as it has come

    def take(self, told: Told) -> Iterator[Delta | Answered]:
        """The events to pass on. Raises Interrupted."""
        news = told.news
        if isinstance(news, Delta):
            yield from self._delta(told.fence, news)
        elif isinstance(news, Answered):
            if self._fence not in (None, told.fence):
                yield from self._rest(news.answer.text, tokens=0)
            yield news

    def _delta(self, fence: int, delta: Delta) -> Iterator[Delta]:
        if self._fence is None or not self._heard:
            self._fence = fence
        if fence == self._fence:
            self._heard += delta.text
            yield delta
            return
        self._again += delta.text
        if self._heard.startswith(self._again):
            return
        yield from self._rest(self._again, tokens=delta.tokens)
        self._fence, self._again = fence, ""

    def _rest(self, text: str, *, tokens: int) -> Iterator[Delta]:
        if not text.startswith(self._heard):
            raise Interrupted
        rest, self._heard = text[len(self._heard) :], text
        if rest:
            yield Delta(rest, tokens)
