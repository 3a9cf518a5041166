"""Pages of documents on the other gateway: what a session's inbox says of them is all that is known there."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from kefu_gateway.domain.answer import Event
from kefu_gateway.domain.card import ModelCard
from kefu_gateway.domain.deadline import Deadline
from kefu_gateway.domain.merging import TurnMerger
from kefu_gateway.domain.payload import fingerprint, from_payload, to_payload
from kefu_gateway.domain.pictures import PicturesAtHand, PictureShelf
from kefu_gateway.domain.question import CropMode, PicturePart, Question, TextPart, is_document
from kefu_gateway.domain.session import Entry, SessionKey
from kefu_gateway.domain.stages.admit import estimated_tokens
from kefu_gateway.domain.turn import Turn
from tests.fakes.memory_store import MemoryPictures
from tests.fakes.model import card
from tests.fakes.preparer import EchoPreparer

CARD = ModelCard.parse(card())


def page(data: bytes, document: int, number: int) -> PicturePart:
    return PicturePart(
        sha256=hashlib.sha256(data).hexdigest(),
        media_type="image/webp",
        crop_mode=CropMode.FORBID,
        document=document,
        page=number,
    )


def question(request_id: str, *parts: PicturePart | TextPart) -> Question:
    return Question(request_id=request_id, session_id="s", model="tiny", parts=parts)


def entry(asked: Question) -> Entry:
    payload = to_payload(asked)
    return Entry(
        request_id=asked.request_id,
        fingerprint=fingerprint(payload),
        payload=payload,
        arrived_at=time.time(),
        gateway="g",
    )


def test_payload_keeps_document_and_page() -> None:
    asked = question("r", page(b"a", 1, 2), TextPart("?"))
    assert from_payload(to_payload(asked)) == asked
    # A plain picture's payload is what it always was: a request that waits during an update stays the same request.
    plain = question("r", replace(page(b"a", 1, 2), document=0, page=0))
    assert b"page" not in to_payload(plain)
    assert from_payload(to_payload(plain)) == plain


async def test_another_gateway_finds_the_pages_by_their_hashes() -> None:
    async def run(turn: Turn) -> AsyncGenerator[Event, None]:
        for event in ():
            yield event

    store = MemoryPictures()
    for data in (b"a", b"b", b"c", b"x"):
        await store.put("", data)
    merger = TurnMerger(
        cards={"tiny": CARD},
        shelf=PictureShelf(EchoPreparer(), store, cache_bytes=1000),
        at_hand=PicturesAtHand(),
        run=run,
        turn_seconds=10,
    )
    plain = PicturePart(sha256=hashlib.sha256(b"x").hexdigest())
    entries = [
        entry(question("r1", page(b"a", 1, 1), page(b"b", 1, 2))),
        entry(question("r2", plain)),
        # The same page as before, in another document: it comes from the cache of prepared pictures.
        entry(question("r3", page(b"c", 1, 1), page(b"a", 2, 1))),
    ]
    turn = await merger.merge(SessionKey("", "s"), 1, entries)
    assert [picture.data for picture in turn.pictures] == [b"a", b"b", b"x", b"c", b"a"]
    reports = [picture.report for picture in turn.pictures]
    assert [report.index for report in reports] == [0, 1, 2, 3, 4]
    assert [(report.document, report.page) for report in reports] == [
        (1, 1),
        (1, 2),
        (0, 0),
        (2, 1),
        (3, 1),
    ]


@pytest.mark.parametrize(
    ("media_type", "data", "expected"),
    [
        ("", b"%PDF-1.4", True),
        ("application/pdf", b"\n%PDF-1.4", True),
        ("image/png", b"%PDF-1.4", True),
        ("", b"\x89PNG", False),
        ("image/png", b"\x89PNG", False),
    ],
)
def test_what_a_document_is(media_type: str, data: bytes, expected: bool) -> None:
    assert is_document(media_type, data) is expected


def test_a_document_is_admitted_for_the_most_pages_that_it_may_have() -> None:
    """Its pages are counted only after it was let in; the capacity must not be exceeded meanwhile."""

    def cost(*pictures: bytes) -> int:
        parts = tuple(PicturePart(data=data) for data in pictures)
        turn = Turn(
            question=question("r", *parts),
            card=CARD,
            deadline=Deadline.after(1),
            language="en",
            resources=AsyncExitStack(),
            started=0.0,
        )
        return sum(estimated_tokens(turn))

    assert CARD.max_pictures == 4
    assert cost(b"%PDF-1.7") == cost(b"a", b"b", b"c", b"d") > cost(b"a")
