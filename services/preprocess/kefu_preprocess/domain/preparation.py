"""One request for a picture, or a document's pages: let it in, look in the cache, else have a worker do it.

outcome = await Preparation(limits, workers, cache, observer).prepare(Job(data=...))
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import astuple, dataclass, field

from kefu_common.errors import KefuError
from kefu_common.single_flight import SingleFlight
from kefu_preprocess.domain.documents import admit_document
from kefu_preprocess.domain.formats import admit
from kefu_preprocess.domain.headers import admit_size
from kefu_preprocess.domain.ports import Cache, Observer, Workers
from kefu_preprocess.domain.profiles import check_profile
from kefu_preprocess.domain.values import Job, Limits, Prepared, Rendered, RenderJob

# Hashing this many bytes takes about as long as handing them to a thread.
_HASH_INLINE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`sha256`: of the bytes as sent, in lower-case hexadecimal digits. `seconds`: wall time in this process."""

    prepared: Prepared = field(repr=False)
    sha256: str
    seconds: float
    cached: bool


class Preparation:
    """Everything that is cheap is checked here, before a worker or the queue is touched."""

    def __init__(self, limits: Limits, workers: Workers, cache: Cache, observer: Observer) -> None:
        self._limits = limits
        self._workers = workers
        self._cache = cache
        self._observer = observer
        # A customer's app sends the same screenshot twice within a second: one worker prepares it.
        self._preparing: SingleFlight[str, Prepared] = SingleFlight()
        self._rendering: SingleFlight[str, Rendered] = SingleFlight()

    async def prepare(self, job: Job) -> Outcome:
        """Raises KefuError; fields are those of PrepareRequest."""
        start = time.perf_counter()
        try:
            outcome = await self._prepare(job, start)
        except KefuError as error:
            self._observer.rejected(job, error, seconds=time.perf_counter() - start)
            raise
        self._observer.prepared(
            job, outcome.prepared, seconds=outcome.seconds, cached=outcome.cached
        )
        return outcome

    async def render(self, job: RenderJob) -> Rendered:
        """The pages of a document. Raises KefuError; fields are those of RenderDocumentRequest."""
        start = time.perf_counter()
        try:
            admit_document(job, self._limits)
            rendered = await self._render(job)
        except KefuError as error:
            self._observer.rejected(job, error, seconds=time.perf_counter() - start)
            raise
        self._observer.rendered(job, rendered, seconds=time.perf_counter() - start)
        return rendered

    async def _prepare(self, job: Job, start: float) -> Outcome:
        check_profile(job.profile)
        found = admit(job.data, job.media_type, self._limits)
        admit_size(job.data, found, self._limits, scale_down=job.scale_down_oversized)
        sha256 = await _sha256(job.data)
        key = _key(sha256, job)
        prepared = self._cache.get(key)
        cached = isinstance(prepared, Prepared)
        if not isinstance(prepared, Prepared):
            prepared, cached = await self._preparing.do(key, lambda: self._run(key, job))
        return Outcome(
            prepared=prepared, sha256=sha256, seconds=time.perf_counter() - start, cached=cached
        )

    async def _run(self, key: str, job: Job) -> Prepared:
        prepared = await self._workers.run(job)
        self._cache.put(key, prepared)
        return prepared

    async def _render(self, job: RenderJob) -> Rendered:
        wanted = (job.max_pages, job.max_pixels, job.media_type, job.cache_scope)
        key = f"{await _sha256(job.data)} pages {wanted!r}"
        found = self._cache.get(key)
        if isinstance(found, Rendered):
            return found
        rendered, _ = await self._rendering.do(key, lambda: self._draw(key, job))
        return rendered

    async def _draw(self, key: str, job: RenderJob) -> Rendered:
        rendered = await self._workers.render(job)
        self._cache.put(key, rendered)
        return rendered


async def _sha256(data: bytes) -> str:
    if len(data) <= _HASH_INLINE_BYTES:
        return hashlib.sha256(data).hexdigest()
    # hashlib lets go of the interpreter, so the event loop runs on meanwhile.
    digest = await asyncio.to_thread(hashlib.sha256, data)
    return digest.hexdigest()


def _key(sha256: str, job: Job) -> str:
    """Everything that the result depends on. The profile's name is in it too: it costs nothing and is in the report."""
    wanted = (
        astuple(job.profile),
        job.crop_mode.value,
        job.find_elements,
        job.draw_elements,
        job.scale_down_oversized,
        job.language,
        job.cache_scope,
    )
    return f"{sha256} {wanted!r}"
