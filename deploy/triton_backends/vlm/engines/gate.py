"""The gate between the model and the caller: nothing passes that could still turn out wrong.

    gate = TextGate(stops=("\\n\\n",), checker=ClaimCheck(grounds))
    for token in tokens:
        chunk = gate.push(token.id, token.logprob, token.raw)
        if chunk is not None: send(chunk)
        if gate.closed: break
    last = gate.finish()

Held back are: bytes of an unfinished character, text that may be the beginning of a stop string, and whatever a check
has not settled yet.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Protocol

from engines.base import Chunk


class Check(Protocol):
    """Reads an answer while it is written, and knows what must not be in it."""

    def settled(self, text: str) -> int:
        """Characters from the start whose meaning no further text can change."""

    def first_unsupported(self, text: str) -> int | None:
        """Where the first thing stands that must not be said; None where there is none."""


@dataclass(slots=True)
class _Token:
    id: int
    logprob: float
    start: int
    end: int


class TextGate:
    """One answer's way out.  `checker` None lets every claim pass; `hold` keeps all text until finish()."""

    def __init__(
        self,
        *,
        stops: tuple[str, ...] = (),
        checker: Check | None = None,
        logprobs: bool = True,
        hold: bool = False,
    ) -> None:
        self._stops = stops
        self._checker = checker
        self._logprobs = logprobs
        self._hold = hold
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._tokens: list[_Token] = []
        self.text = ""
        self.sent = 0
        self.tokens_sent = 0
        self.stopped = False
        self.unsupported: int | None = None

    @property
    def closed(self) -> bool:
        """True once no more tokens are of use: a stop string was met, or an unsupported claim."""
        return self.stopped or self.unsupported is not None

    def push(self, token_id: int, logprob: float, raw: bytes) -> Chunk | None:
        """Takes a token; returns what may be sent now."""
        if self.closed:
            return None
        start = len(self.text)
        self.text += self._decoder.decode(raw)
        self._tokens.append(_Token(token_id, logprob, start, len(self.text)))
        return self._release(final=False)

    def finish(self) -> Chunk | None:
        """What was still held; a character that never became whole is dropped."""
        return self._release(final=True)

    def drop(self) -> None:
        """Forgets everything that was not sent (an answer that must not be given)."""
        self.text = self.text[: self.sent]
        self._tokens.clear()

    def _release(self, *, final: bool) -> Chunk | None:
        end = self._safe_end(final)
        if self._hold and not final:
            end = self.sent
        crossing = final or self.closed
        ready = [t for t in self._tokens if t.end <= end or (crossing and t.start < end)]
        if self.closed:
            self._tokens.clear()
        elif ready:
            # Tokens leave in order: those behind one that is held wait, too.
            count = 0
            while count < len(self._tokens) and self._tokens[count] in ready:
                count += 1
            ready = self._tokens[:count]
            del self._tokens[:count]
            end = min(end, ready[-1].end) if ready and not final else end
        if not ready and end <= self.sent:
            return None
        text = self.text[self.sent : end]
        self.sent = max(self.sent, end)
        self.tokens_sent += len(ready)
        return Chunk(
            token_ids=tuple(t.id for t in ready),
            text=text,
            logprobs=tuple(t.logprob for t in ready) if self._logprobs else (),
        )

    def _safe_end(self, final: bool) -> int:
        end = len(self.text)
        found = min(
            (i for s in self._stops if (i := self.text.find(s, self.sent)) >= 0), default=-1
        )
        if found >= 0:
            self.stopped, end = True, found
        elif not final:
            end -= _partial(self.text[self.sent :], self._stops)
        if self._checker is not None:
            if not (final or self.stopped):
                end = min(end, max(self.sent, self._checker.settled(self.text)))
            bad = self._checker.first_unsupported(self.text[:end])
            if bad is not None:
                self.unsupported, end = bad, max(self.sent, bad)
        return max(end, self.sent)


def _partial(text: str, stops: tuple[str, ...]) -> int:
    """Length of the longest end of `text` that begins a stop string."""
    longest = 0
    for stop in stops:
        for size in range(min(len(stop) - 1, len(text)), longest, -1):
            if text.endswith(stop[:size]):
                longest = size
                break
    return longest
