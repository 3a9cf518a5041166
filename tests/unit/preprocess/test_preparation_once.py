"""What is asked for again, or twice at once, is not done again."""

from __future__ import annotations

import asyncio

from kefu_common.errors import KefuError
from kefu_preprocess.adapters.cache import MemoryCache
from kefu_preprocess.domain.pipeline import prepare
from kefu_preprocess.domain.preparation import Preparation
from kefu_preprocess.domain.render import render
from kefu_preprocess.domain.values import Job, Limits, Prepared, Rendered, RenderJob
from tests.fixtures.documents import RED, pdf
from tests.unit.preprocess.pictures import encoded, noise

SHOT = encoded(noise(64, 48), "PNG")


class HereWorkers:
    """Does the work in this process, and counts it."""

    def __init__(self) -> None:
        self.prepared = 0
        self.drawn = 0

    async def run(self, job: Job) -> Prepared:
        self.prepared += 1
        await asyncio.sleep(0)
        return prepare(job, Limits())

    async def render(self, job: RenderJob) -> Rendered:
        self.drawn += 1
        await asyncio.sleep(0)
        return render(job, Limits())


class Nobody:
    """An observer that does not look."""

    def prepared(self, job: Job, prepared: Prepared, *, seconds: float, cached: bool) -> None: ...

    def rendered(self, job: RenderJob, rendered: Rendered, *, seconds: float) -> None: ...

    def rejected(self, job: Job | RenderJob, error: KefuError, *, seconds: float) -> None: ...


def preparation(cache_bytes: int) -> tuple[Preparation, HereWorkers]:
    workers = HereWorkers()
    return Preparation(Limits(), workers, MemoryCache(cache_bytes), Nobody()), workers


async def test_without_a_cache_the_same_picture_at_once_is_still_prepared_once() -> None:
    preparing, workers = preparation(0)
    outcomes = await asyncio.gather(*(preparing.prepare(Job(data=SHOT)) for _ in range(3)))
    assert workers.prepared == 1
    assert [each.cached for each in outcomes] == [False, True, True]
    await preparing.prepare(Job(data=SHOT))
    assert workers.prepared == 2


async def test_pages_are_drawn_once_for_each_scope_and_size() -> None:
    preparing, workers = preparation(1_000_000)
    data = pdf(RED)
    job = RenderJob(data=data, cache_scope="a")
    first, second = await asyncio.gather(preparing.render(job), preparing.render(job))
    third = await preparing.render(job)
    assert first == second == third
    assert workers.drawn == 1
    other = await preparing.render(RenderJob(data=data, cache_scope="b"))
    assert other == first  # drawn anew, and the same byte for byte
    await preparing.render(RenderJob(data=data, cache_scope="a", max_pixels=500))
    assert workers.drawn == 3


async def test_a_cache_too_small_for_pages_keeps_none() -> None:
    preparing, workers = preparation(1_000)
    for _ in range(2):
        await preparing.render(RenderJob(data=pdf(RED)))
    assert workers.drawn == 2
