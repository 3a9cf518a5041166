"""RenderDocument over a real unix socket: the pages in order and within their bounds, and what bad input is told."""

from __future__ import annotations

import io
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image

from kefu.preprocess.v1 import preprocess_service_pb2 as pb
from kefu_common.errors import KefuError, Reason
from kefu_common.status import from_call_error
from tests.fixtures.documents import A4, BLUE, GREEN, LOCKED, RED, assembled, pdf
from tests.unit.preprocess.pictures import encoded, noise, opened

# One sidecar serves the whole module: starting one takes longer than most tests.
pytestmark = pytest.mark.asyncio(loop_scope="module")

# The generated stub has no types.
Stub = Any

THREE = pdf(RED, GREEN, BLUE)


async def rendered(stub: Stub, data: bytes, **wanted: Any) -> pb.RenderDocumentResponse:
    request = pb.RenderDocumentRequest(data=data, **wanted)
    response: pb.RenderDocumentResponse = await stub.RenderDocument(request, timeout=60)
    return response


async def refused(stub: Stub, data: bytes, **wanted: Any) -> KefuError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rendered(stub, data, **wanted)
    error = from_call_error(caught.value)
    assert error is not None, caught.value
    return error


async def test_pages_come_in_order_as_lossless_pictures_at_200_dots_an_inch(stub: Stub) -> None:
    response = await rendered(stub, THREE, media_type="application/pdf")
    assert response.total_pages == 3
    assert [page.page for page in response.pages] == [1, 2, 3]
    for page, colour in zip(response.pages, (RED, GREEN, BLUE), strict=True):
        picture = opened(page.data)
        assert page.media_type == Image.MIME[str(picture.format)] == "image/webp"
        assert (page.size.width, page.size.height) == picture.size == (250, 166)
        assert picture.convert("RGB").getpixel((125, 83)) == colour


async def test_the_same_document_gives_the_same_bytes(stub: Stub) -> None:
    # Another scope's pages are not given again: these are drawn twice.
    assert await rendered(stub, THREE) == await rendered(stub, THREE, cache_scope="another")


async def test_a_page_is_a_picture_that_prepare_takes(stub: Stub) -> None:
    page = (await rendered(stub, THREE)).pages[1]
    request = pb.PrepareRequest(data=page.data, media_type=page.media_type)
    report = (await stub.Prepare(request, timeout=60)).report
    assert (report.original.width, report.original.height) == (250, 166)


@pytest.mark.parametrize(
    "size", [A4, (14_400.0, 14_400.0), (2e9, 1e9), (1e7, 1.0), (1.0, 1e7), (1e-3, 1e-3)]
)
async def test_no_page_has_more_pixels_than_asked_for(
    stub: Stub, size: tuple[float, float]
) -> None:
    response = await rendered(stub, pdf(GREEN, size=size), max_pixels=100_000)
    picture = opened(response.pages[0].data)
    assert 1 <= picture.width * picture.height <= 100_000
    assert max(picture.size) <= 16_383


async def test_a_scanned_photo_is_sent_as_jpeg_that_fits_the_message(stub: Stub) -> None:
    """Twelve pages of noise have 24 MB without loss; the answer may have 20 MiB, whatever the document holds."""
    grain = np.random.default_rng(1).integers(0, 256, (990, 700, 3), np.uint8)
    scans = [Image.fromarray(grain)] * 12
    sink = io.BytesIO()
    scans[0].save(sink, "PDF", save_all=True, append_images=scans[1:], quality=75)
    response = await rendered(stub, sink.getvalue(), max_pages=12, max_pixels=700_000)
    assert {page.media_type for page in response.pages} == {"image/jpeg"}
    assert response.ByteSize() < 20 * 1024 * 1024
    assert np.asarray(opened(response.pages[11].data)).std() > 20, "the noise is still there"


NO_PAGES = pdf()
SCRIPT = "/OpenAction << /S /JavaScript /JS (while (true) {}) >>"


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (b"", Reason.PICTURE_EMPTY, "no bytes"),
        (encoded(noise(20, 20), "PNG"), Reason.PICTURE_FORMAT_UNSUPPORTED, "not a PDF"),
        (b"PK\3\4" + bytes(500), Reason.PICTURE_FORMAT_UNSUPPORTED, "not a PDF"),
        (THREE[: len(THREE) // 2], Reason.PICTURE_DAMAGED, "cut short"),
        (b"%PDF-1.7\n%%EOF", Reason.PICTURE_DAMAGED, "damaged"),
        (b"%PDF-1.7\n" + noise(40, 40).tobytes() + b"\n%%EOF", Reason.PICTURE_DAMAGED, "damaged"),
        (LOCKED, Reason.PICTURE_DAMAGED, "password"),
        (NO_PAGES, Reason.PICTURE_DAMAGED, "no pages"),
        (THREE + bytes(20 * 1024 * 1024), Reason.PICTURE_TOO_LARGE, "20971520"),
    ],
    ids=[
        "empty",
        "picture",
        "zip",
        "half",
        "nothing in it",
        "noise",
        "locked",
        "no pages",
        "large",
    ],
)
async def test_bad_documents_are_refused_with_their_reason(
    stub: Stub, data: bytes, reason: Reason, words: str
) -> None:
    error = await refused(stub, data[: 20 * 1024 * 1024 + 1])
    assert (error.reason, error.field) == (reason, "data")
    assert words in error.message


async def test_a_page_that_is_not_there_is_named(stub: Stub) -> None:
    """The page tree promises two pages; the second one is a number."""
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R 4 0 R] /Count 2 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 90 60] >>",
        "17",
    ]
    error = await refused(stub, assembled(objects))
    assert error.reason is Reason.PICTURE_DAMAGED
    assert "page 2" in error.message


async def test_a_page_tree_that_bites_its_tail_ends(stub: Stub) -> None:
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 5 >>",
    ]
    assert (await refused(stub, assembled(objects))).reason is Reason.PICTURE_DAMAGED


@pytest.mark.parametrize("count", [-5, 2_000_000_000])
async def test_a_page_tree_that_lies_about_its_pages(stub: Stub, count: int) -> None:
    """The pages that are there are drawn, and nothing is made for those that are not."""
    response = await rendered(stub, pdf(RED, count=count))
    assert [page.page for page in response.pages] == [1]


async def test_more_pages_than_allowed_are_refused_whole_with_both_numbers(stub: Stub) -> None:
    error = await refused(stub, THREE, max_pages=2)
    assert (error.reason, error.field) == (Reason.TOO_MANY_PICTURES, "data")
    assert (error.metadata["limit"], error.metadata["got"]) == ("2", "3")
    assert "3 pages" in error.message
    assert len((await rendered(stub, THREE, max_pages=3)).pages) == 3


async def test_a_declared_media_type_that_the_bytes_are_not_is_named(stub: Stub) -> None:
    error = await refused(stub, THREE, media_type="image/png")
    assert (error.reason, error.field) == (Reason.PICTURE_MEDIA_TYPE_MISMATCH, "media_type")


@pytest.mark.parametrize(("name", "value"), [("max_pages", 51), ("max_pixels", 12_000_001)])
async def test_a_wrong_setting_is_named(stub: Stub, name: str, value: int) -> None:
    error = await refused(stub, THREE, **{name: value})
    assert (error.reason, error.field) == (Reason.SETTING_INVALID, name)


async def test_a_script_of_the_document_is_not_run(stub: Stub) -> None:
    """It would run until the worker is ended: PICTURE_TOO_SLOW."""
    assert (await rendered(stub, pdf(RED, root=SCRIPT))).total_pages == 1
