"""What a stage is: one of two kinds, and a name that is also its histogram's label and its span's name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator

from kefu_gateway.domain.answer import Event
from kefu_gateway.domain.turn import Turn


class Quiet(ABC):
    """A stage that does its thing to the turn and has nothing to tell on the way."""

    name: str

    @abstractmethod
    async def do(self, turn: Turn) -> None: ...


class Telling(ABC):
    """A stage that tells events on the way. Closing its generator cancels what it began."""

    name: str

    @abstractmethod
    def run(self, turn: Turn) -> AsyncGenerator[Event, None]: ...


Stage = Quiet | Telling
