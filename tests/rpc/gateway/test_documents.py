"""Documents on the road: their pages are pictures, from the model's prompt to the rounds that are remembered."""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path

import grpc
import pytest
from PIL import Image

from kefu.chat.v1 import answer_pb2, chat_service_pb2, model_service_pb2, question_pb2
from kefu.media.v1 import media_service_pb2, media_service_pb2_grpc
from kefu_common.errors import KefuError, Reason
from kefu_gateway.adapters.stores.objects import open_objects
from kefu_gateway.adapters.stores.uploads import ObjectUploads
from kefu_gateway.app import Gateway, Stores
from kefu_gateway.domain.uploads import UploadLimits
from kefu_preprocess.app import running
from kefu_preprocess.config import Settings as SidecarSettings
from tests.fakes.memory_store import MemoryPictures, MemoryStore
from tests.fakes.model import write_model
from tests.fakes.preprocess import FakePreprocess
from tests.fakes.triton import FakeTriton, Script
from tests.fixtures.documents import BLUE, GREEN, RED, pdf
from tests.rpc.gateway.conftest import House, settings_for
from tests.rpc.gateway.test_chat_road import ask, refused, whole
from tests.rpc.gateway.test_sessions_road import HELD_OPEN, prompt, say
from tests.unit.preprocess.pictures import opened


def pages(answer: answer_pb2.Answer) -> list[tuple[int, int]]:
    """(document, page) of every picture of the answer, in order."""
    assert [report.index for report in answer.pictures] == list(range(len(answer.pictures)))
    return [(report.document, report.page) for report in answer.pictures]


def part(data: bytes, **fields: object) -> question_pb2.Question:
    """A question of one picture part with more than its bytes."""
    picture = question_pb2.Picture(data=data, **fields)
    return question_pb2.Question(parts=[question_pb2.Part(picture=picture)])


async def test_pages_reach_the_model_in_the_place_of_their_document(house: House) -> None:
    row = {"picture": 2, "text": "总计 12.00", "box": [10, 20, 60, 40]}
    house.triton.script = Script(["12"], details={"evidence": [row]})
    answer = await whole(house, ask("before", b"AAA", b"%PDF-p1|p2", "after", b"BB"))
    assert house.triton.seen[-1].pictures == [b"AAA", b"p1", b"p2", b"BB"]
    assert "user:before<|image|><|image|><|image|>after<|image|><|end|>" in prompt(house)
    assert pages(answer) == [(0, 0), (1, 1), (1, 2), (0, 0)]
    (evidence,) = answer.evidence
    assert answer.pictures[evidence.picture].page == 2
    assert answer.pictures[2].sha256 == hashlib.sha256(b"p2").hexdigest()


async def test_documents_of_a_question_are_counted(house: House) -> None:
    answer = await whole(house, ask("?", b"%PDF-a", b"XX", b"%PDF-b|c"))
    assert pages(answer) == [(1, 1), (0, 0), (2, 1), (2, 2)]


async def test_reports_in_the_stream_name_the_page(house: House) -> None:
    request = chat_service_pb2.StreamChatRequest(question=ask("?", b"%PDF-a|b"))
    reports = [
        event.picture
        async for event in house.chat.StreamChat(request, timeout=60)
        if event.WhichOneof("event") == "picture"
    ]
    assert {(report.index, report.document, report.page) for report in reports} == {
        (0, 1, 1),
        (1, 1, 2),
    }


async def test_declared_document_is_one_whatever_it_begins_with(house: House) -> None:
    """Some writers put a line before the header; the sidecar knows where to look for it."""
    await whole(house, part(b"junk\n%PDF-a", media_type="application/pdf"))
    (seen,) = house.sidecar.documents
    assert seen.media_type == "application/pdf"
    assert seen.max_pages == 4, "the model takes four pictures"
    assert 0 < seen.max_pixels <= 12_000_000


@pytest.mark.parametrize("media_type", ["", "application/pdf"])
async def test_uploaded_document(house: House, media_type: str) -> None:
    data = b"%PDF-a|b"
    start = media_service_pb2.UploadStart(
        upload_id="u",
        media_type="application/pdf",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    chunk = media_service_pb2.UploadChunk(data=data)
    messages = [
        media_service_pb2.UploadRequest(start=start),
        media_service_pb2.UploadRequest(chunk=chunk),
    ]
    media = media_service_pb2_grpc.MediaServiceStub(house.channel)
    await media.Upload(iter(messages), timeout=60)
    picture = question_pb2.Picture(upload_id="u", media_type=media_type)
    question = question_pb2.Question(parts=[question_pb2.Part(picture=picture)])
    assert pages(await whole(house, question)) == [(1, 1), (1, 2)]
    assert house.triton.seen[-1].pictures == [b"a", b"b"]


async def test_follow_up_sees_the_pages_again(house: House) -> None:
    await say(house, "what is this?", b"%PDF-a|b")
    row = {"picture": 1, "text": "b", "box": [0, 0, 10, 10]}
    house.triton.script = Script(details={"evidence": [row]})
    answer = await say(house, "and the second page?")
    assert house.triton.seen[-1].pictures == [b"a", b"b"]
    assert len(house.sidecar.documents) == 1, "the document itself is not needed any more"
    assert [(one.rounds_back, one.picture) for one in answer.evidence] == [(1, 1)]
    for seen in house.sidecar.seen:
        assert seen.crop_mode == 3, "a page has no status bar, in the follow-up neither"


@pytest.mark.parametrize(("asked", "given"), [(0, 3), (1, 3), (2, 2), (3, 3)])
async def test_pages_are_cropped_only_by_force(house: House, asked: int, given: int) -> None:
    await whole(house, part(b"%PDF-a", crop_mode=asked))
    assert house.sidecar.seen[-1].crop_mode == given


async def test_same_request_id_with_a_document_is_answered_once(house: House) -> None:
    house.triton.script = Script(["once"])
    for _ in range(2):
        answer = await whole(house, ask("hi", b"%PDF-a|b", request_id="r"))
        assert answer.text == "once"
        assert pages(answer) == [(1, 1), (1, 2)]
    assert len(house.triton.seen) == 1


@pytest.mark.parametrize("house", [HELD_OPEN], indirect=True)
async def test_documents_of_a_burst_are_counted_through(house: House) -> None:
    """Each request counts its documents from 1; the joined turn has a first and a second one."""
    first = asyncio.create_task(whole(house, ask(b"%PDF-a|b", session_id="s", request_id="p")))
    while not house.sidecar.seen:  # two calls at once may arrive in either order
        await asyncio.sleep(0)
    second = asyncio.create_task(
        whole(house, ask("which?", b"%PDF-c", session_id="s", request_id="q"))
    )
    for answer in await asyncio.gather(first, second):
        assert pages(answer) == [(1, 1), (1, 2), (2, 1)]
    assert [seen.pictures for seen in house.triton.seen] == [[b"a", b"b", b"c"]]


async def test_more_pages_than_the_model_takes_pictures(house: House) -> None:
    error = await refused(house, ask("?", b"%PDF-1|2|3|4|5"))
    assert (error.reason, error.field) == (
        Reason.TOO_MANY_PICTURES,
        "question.parts[1].picture.data",
    )
    assert (error.metadata["limit"], error.metadata["got"]) == ("4", "5")


@pytest.mark.parametrize(
    "parts", [(b"%PDF-1|2|3", b"%PDF-4|5|6"), (b"AA", b"BB", b"CC", b"%PDF-1|2|3")]
)
async def test_pages_and_pictures_count_together(house: House, parts: tuple[bytes, ...]) -> None:
    error = await refused(house, ask("?", *parts, session_id="s"))
    assert (error.reason, error.field) == (Reason.TOO_MANY_PICTURES, "question.parts")
    assert (error.metadata["limit"], error.metadata["got"]) == ("4", "6")
    assert not house.triton.seen
    assert not house.sidecar.seen, "nothing is prepared for a question that is refused"


async def test_as_many_pages_as_the_model_takes_are_fine(house: House) -> None:
    answer = await whole(house, ask("?", b"%PDF-1|2", b"AA", b"%PDF-3"))
    assert pages(answer) == [(1, 1), (1, 2), (0, 0), (2, 1)]


async def test_refusals_name_the_callers_part(house: House) -> None:
    error = await refused(house, ask(b"%PDF-a|b", "?", b"%PDF-damaged"))
    assert (error.reason, error.field) == (
        Reason.PICTURE_DAMAGED,
        "question.parts[2].picture.data",
    )
    # The second page is the third picture, but of the first part.
    house.sidecar.error = KefuError(Reason.PICTURE_TOO_SLOW, "slow", field="data")
    error = await refused(house, ask("?", b"%PDF-a|b"))
    assert error.field == "question.parts[1].picture.data"


async def test_documents_are_listed_as_accepted(house: House) -> None:
    limits = (await house.models.ListModels(model_service_pb2.ListModelsRequest())).limits
    assert "application/pdf" in limits.media_types


async def test_real_document_through_the_real_sidecar(tmp_path: Path) -> None:
    """The two halves agree: what the sidecar draws is a picture that it prepares, in order, for the model."""
    write_model(tmp_path)
    sidecar = SidecarSettings(socket=str(tmp_path / "s.sock"), workers=1, metrics="-")
    stores = Stores(
        sessions=MemoryStore(time.time),
        pictures=MemoryPictures(),
        uploads=ObjectUploads(open_objects("memory:///"), UploadLimits()),
    )
    async with FakeTriton() as triton, running(sidecar):
        settings = settings_for(tmp_path, triton.address, f"unix:{sidecar.socket}")
        async with (
            Gateway.open(settings, shared=stores) as gateway,
            grpc.aio.insecure_channel(gateway.address) as channel,
        ):
            house = House(gateway, triton, FakePreprocess(tmp_path), channel)
            answer = await say(house, "?", pdf(RED, GREEN, BLUE))
            assert pages(answer) == [(1, 1), (1, 2), (1, 3)]
            first = triton.seen[-1].pictures
            assert [main_colour(picture) for picture in first] == [0, 1, 2]
            await say(house, "and now?")
            assert triton.seen[-1].pictures == first
            cut = await refused(house, ask("?", pdf(RED)[:-20]))
            assert cut.reason is Reason.PICTURE_DAMAGED


def main_colour(picture: bytes) -> int:
    """Which of red, green and blue is the strongest."""
    colours = opened(picture).convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(colours, tuple)
    return colours.index(max(colours))
