"""What preparing a picture needs from the world outside; adapters implement these."""

from __future__ import annotations

from typing import Protocol

from kefu_common.errors import KefuError
from kefu_preprocess.domain.values import Job, Prepared


class Workers(Protocol):
    """Runs the pipeline somewhere where a decoder may crash or hang without harm."""

    async def run(self, job: Job) -> Prepared:
        """Raises KefuError: what the pipeline raises, OVERLOADED, PICTURE_TOO_SLOW, PICTURE_DAMAGED after a crash."""
        ...


class Cache(Protocol):
    """Prepared pictures by key, bounded by bytes."""

    def get(self, key: str) -> Prepared | None:
        """The picture, or None."""
        ...

    def put(self, key: str, prepared: Prepared) -> None:
        """Keeps it, and forgets the least recently used ones."""
        ...


class Observer(Protocol):
    """Told of every picture that ends, for metrics."""

    def prepared(self, job: Job, prepared: Prepared, *, seconds: float, cached: bool) -> None:
        """A picture came out."""
        ...

    def rejected(self, job: Job, error: KefuError, *, seconds: float) -> None:
        """A picture was refused."""
        ...
