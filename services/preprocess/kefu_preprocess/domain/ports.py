"""What preparing a picture needs from the world outside; adapters implement these."""

from __future__ import annotations

from typing import Protocol

from kefu_common.errors import KefuError
from kefu_preprocess.domain.values import Job, Prepared, Rendered, RenderJob


class Workers(Protocol):
    """Runs the pipeline somewhere where a decoder may crash or hang without harm."""

    async def run(self, job: Job) -> Prepared:
        """Raises KefuError: what the pipeline raises, OVERLOADED, PICTURE_TOO_SLOW, PICTURE_DAMAGED after a crash."""
        ...

    async def render(self, job: RenderJob) -> Rendered:
        """The pages of a document. Raises KefuError as `run` does, and what rendering raises."""
        ...


class Cache(Protocol):
    """Prepared pictures and drawn documents by key, bounded by bytes."""

    def get(self, key: str) -> Prepared | Rendered | None:
        """The picture or the document's pages, or None."""
        ...

    def put(self, key: str, result: Prepared | Rendered) -> None:
        """Keeps it, and forgets the least recently used ones."""
        ...


class Observer(Protocol):
    """Told of every picture and every document that ends, for metrics."""

    def prepared(self, job: Job, prepared: Prepared, *, seconds: float, cached: bool) -> None:
        """A picture came out."""
        ...

    def rendered(self, job: RenderJob, rendered: Rendered, *, seconds: float) -> None:
        """A document's pages came out."""
        ...

    def rejected(self, job: Job | RenderJob, error: KefuError, *, seconds: float) -> None:
        """A picture or a document was refused."""
        ...
