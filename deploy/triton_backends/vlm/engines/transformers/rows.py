"""One request inside the engine: what it asks, how far it is, and how its tokens reach the thread that waits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from engines.base import ContractError, Job
from engines.outbox import Outbox
from engines.transformers.families import Prompt
from engines.transformers.penalties import Penalties
from engines.transformers.sampler import Choice
from engines.transformers.vocabulary import Follower


@dataclass(frozen=True, slots=True)
class Token:
    """One new token with its log-probability."""

    id: int
    logprob: float


@dataclass(frozen=True, slots=True)
class End:
    """The last thing that comes: stop or length, or the error that ended the row."""

    reason: str = ""
    error: Exception | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class Row:
    """most: tokens that the answer may have; pictures: kept for a debug artefact only."""

    job: Job
    prompt: Prompt
    most: int
    choice: Choice
    follower: Follower | None = None
    penalties: Penalties | None = None
    pictures: Sequence[Image.Image] = ()
    answer: list[int] = field(default_factory=list)
    debug: list[dict[str, Any]] = field(default_factory=list)
    arrived: float = field(default_factory=time.monotonic)
    gone: bool = False
    ended: bool = False
    _outbox: Outbox[Token | End] = field(init=False)

    def __post_init__(self) -> None:
        self._outbox = Outbox.of(self.job.sampling)

    @property
    def tokens(self) -> int:
        """Whose keys and values it may come to hold."""
        return len(self.prompt.ids) + self.most

    @property
    def next_position(self) -> int:
        return self.prompt.after + len(self.answer) - 1

    # The side of the engine's thread.

    def put(self, token: Token) -> None:
        self.answer.append(token.id)
        self._outbox.put(token)

    def end(self, reason: str) -> None:
        self._finish(End(reason))

    def fail(self, error: Exception) -> None:
        self._finish(End("error", error))

    def out_of_memory(self) -> None:
        self.fail(
            ContractError(
                "out_of_memory",
                f"the device has no memory for this request ({len(self.prompt.ids)} tokens of prompt,"
                f" {self.prompt.visual} of them visual)",
            )
        )

    def _finish(self, end: End) -> None:
        if not self.ended:
            self.ended = True
            self._outbox.put(end, at_once=True)

    # The side of the thread that waits.

    def leave(self) -> None:
        """Nobody waits any more: the engine lets go of it before its next step."""
        self.gone = True

    def take(self, seconds: float) -> list[Token | End]:
        """What has come, at once if there is something; nothing after `seconds`."""
        return self._outbox.take(seconds)
