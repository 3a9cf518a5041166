"""From vLLM's deltas to the contract's chunks.

answer = Answer(sampling, vocabulary)
for delta in deltas:
    chunk = answer.take(delta)          # None: nothing may be sent yet
    if answer.closed: break             # a stop string was met: the engine need not go on
last = answer.finish("length", usage)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from engines.base import Chunk, Sampling, Usage
from engines.gate import TextGate


class Tokens(Protocol):
    def raw(self, token_id: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Delta:
    """New tokens; `finish` is vLLM's reason in the last one (stop, length, abort, error), else empty."""

    token_ids: Sequence[int]
    logprobs: Sequence[float]
    finish: str = ""

    def then(self, later: Delta) -> Delta:
        return Delta(
            (*self.token_ids, *later.token_ids), (*self.logprobs, *later.logprobs), later.finish
        )


class Answer:
    """One answer on its way out: whole characters, no stop string, tokens with their text."""

    def __init__(self, sampling: Sampling, tokens: Tokens) -> None:
        self._gate = TextGate(stops=sampling.stop, logprobs=sampling.logprobs)
        self._tokens = tokens
        # Tokens of a character that is not whole yet: a message without a text would be nobody's gain.
        self._silent: list[Chunk] = []
        self.completion = 0

    @property
    def closed(self) -> bool:
        return self._gate.closed

    def take(self, delta: Delta) -> Chunk | None:
        """What may be sent now, all of it in one chunk."""
        ids = list(delta.token_ids)
        if delta.finish == "stop" and ids:
            # vLLM gives the token that ended the answer as well; stop strings are found here, so it is one of the
            # model's own end tokens.
            ids.pop()
        parts: list[Chunk] = []
        for place, token in enumerate(ids):
            logprob = delta.logprobs[place] if place < len(delta.logprobs) else 0.0
            # A logarithm of a probability; rounding has given 1e-7.
            chunk = self._gate.push(token, min(0.0, logprob), self._tokens.raw(token))
            if chunk is not None:
                parts.append(chunk)
            if self._gate.closed:
                break
        self._silent += parts
        if not any(part.text for part in self._silent):
            return None
        return self._joined()

    def finish(self, reason: str, prompt: tuple[int, int]) -> Chunk:
        """The last chunk: what was still held, the reason, and the usage. `prompt`: its text and visual tokens."""
        held = self._gate.finish() if reason != "cancelled" else None
        if held is not None:
            self._silent.append(held)
        last = self._joined()
        return replace(last, finish_reason=reason, usage=Usage(*prompt, self.completion))

    def _joined(self) -> Chunk:
        parts, self._silent = self._silent, []
        joined = Chunk(
            token_ids=tuple(i for part in parts for i in part.token_ids),
            text="".join(part.text for part in parts),
            logprobs=tuple(p for part in parts for p in part.logprobs),
        )
        self.completion += len(joined.token_ids)
        return joined
