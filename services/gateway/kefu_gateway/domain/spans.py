"""Spans of the road, as the domain sees them: a context around a turn and around each stage, or nothing."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from kefu_gateway.domain.turn import Turn

Headers = tuple[tuple[str, str], ...]


class Spans(Protocol):
    """Where a road's spans go. What runs inside of one is its child, in this process or in another one."""

    def stage(self, name: str, turn: Turn) -> AbstractContextManager[object]: ...

    def turn(self, turn: Turn) -> AbstractContextManager[object]:
        """Around the turn's half, under the requests that it joins (`Question.trace`), where they said who they are."""
        ...

    def here(self) -> Headers:
        """What lets another task or another gateway put its spans under the running one."""
        ...


class NoSpans:
    """Traces are off."""

    def stage(self, name: str, turn: Turn) -> AbstractContextManager[object]:
        return _NOTHING

    def turn(self, turn: Turn) -> AbstractContextManager[object]:
        return _NOTHING

    def here(self) -> Headers:
        return ()


_NOTHING = nullcontext()
