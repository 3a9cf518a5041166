"""Prepared pictures: the same one is prepared once, kept while there is room; a hasty caller spoils it for nobody."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.card import ModelCard
from kefu_gateway.domain.pictures import PictureShelf
from kefu_gateway.domain.ports import PreparedPicture
from kefu_gateway.domain.question import PicturePart
from tests.fakes.memory_store import MemoryPictures
from tests.fakes.model import card
from tests.fakes.preparer import EchoPreparer

CARD = ModelCard.parse(card())


@dataclass
class Preparer(EchoPreparer):
    """After the errors that a test laid out; waits for `go`."""

    errors: list[KefuError] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def prepare(
        self, picture: PicturePart, data: bytes, card: ModelCard, **asked: Any
    ) -> PreparedPicture:
        self.asked.append(data)
        await self.go.wait()
        if self.errors:
            raise self.errors.pop()
        return await super().prepare(picture, data, card, **asked)


@dataclass
class Desk:
    preparer: Preparer
    shelf: PictureShelf

    async def ask(self, data: bytes, tenant: str = "") -> PreparedPicture:
        return await self.shelf.prepare(
            tenant, PicturePart(data=data), data, CARD, language="zh", timeout=5
        )


@pytest.fixture
def desk() -> Desk:
    """With room for 100 bytes."""
    preparer = Preparer()
    return Desk(preparer, PictureShelf(preparer, MemoryPictures(), cache_bytes=100))


async def two_at_once(desk: Desk) -> list[PreparedPicture | BaseException]:
    asking = [asyncio.create_task(desk.ask(b"p")) for _ in range(2)]
    while not desk.preparer.asked:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    desk.preparer.go.set()
    return await asyncio.gather(*asking, return_exceptions=True)


async def test_the_same_picture_at_once_is_prepared_once(desk: Desk) -> None:
    found = [one for one in await two_at_once(desk) if isinstance(one, PreparedPicture)]
    assert [(one.report.cached, one.report.milliseconds) for one in found] == [
        (False, 7.0),
        (True, 0.0),
    ]
    assert desk.preparer.asked == [b"p"]


async def test_who_has_more_time_than_the_one_he_joined_asks_again(desk: Desk) -> None:
    desk.preparer.errors.append(KefuError(Reason.DEADLINE_EXCEEDED, "over"))
    hasty, patient = await two_at_once(desk)
    assert isinstance(hasty, KefuError)
    assert isinstance(patient, PreparedPicture)
    assert desk.preparer.asked == [b"p", b"p"]


async def test_any_other_failure_is_both_callers(desk: Desk) -> None:
    desk.preparer.errors.append(KefuError(Reason.PICTURE_DAMAGED, "damaged"))
    both = await two_at_once(desk)
    assert [one.reason for one in both if isinstance(one, KefuError)] == [
        Reason.PICTURE_DAMAGED,
        Reason.PICTURE_DAMAGED,
    ]
    assert desk.preparer.asked == [b"p"]


async def test_what_was_used_last_is_kept_longest_and_only_for_its_tenant(desk: Desk) -> None:
    desk.preparer.go.set()
    for data in (b"a" * 40, b"b" * 40, b"a" * 40, b"c" * 40):
        await desk.ask(data)
    desk.preparer.asked.clear()
    assert (await desk.ask(b"a" * 40)).report.cached
    assert (await desk.ask(b"c" * 40)).report.cached
    assert not (await desk.ask(b"c" * 40, tenant="bank")).report.cached
    assert not (await desk.ask(b"b" * 40)).report.cached


async def test_exactly_what_fits_is_kept_and_nothing_makes_room_for_what_never_does(
    desk: Desk,
) -> None:
    desk.preparer.go.set()
    for data in (b"a" * 60, b"b" * 40, b"c" * 101):
        await desk.ask(data)
    for data, kept in ((b"a" * 60, True), (b"b" * 40, True), (b"c" * 101, False)):
        assert (await desk.ask(data)).report.cached is kept
