"""Prepare over a real unix socket: what comes back, and what bad input is told."""

from __future__ import annotations

import asyncio
import io
import time
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image

from kefu.media.v1 import picture_pb2
from kefu.preprocess.v1 import preprocess_service_pb2 as pb
from kefu_common.errors import KefuError, Reason
from kefu_common.status import from_call_error
from kefu_preprocess.app import SERVICE, Sidecar
from tests.unit.preprocess.pictures import encoded, noise, opened, png_bomb

# One sidecar serves the whole module: starting one takes longer than most tests.
pytestmark = pytest.mark.asyncio(loop_scope="module")

# The generated stub has no types.
Stub = Any

PHOTO = encoded(noise(400, 300), "JPEG", quality=90)
SHOT = encoded(noise(200, 300), "PNG")
GIF = encoded(noise(20, 20)[:, :, 0], "GIF")


async def refused(stub: Stub, request: pb.PrepareRequest) -> KefuError:
    start = time.perf_counter()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Prepare(request, timeout=60)
    # A tenth of a second where the machine has nothing else to do; a bomb that is decoded takes a minute.
    assert time.perf_counter() - start < 10
    error = from_call_error(caught.value)
    assert error is not None, caught.value
    return error


async def test_a_picture_comes_back_as_webp_within_the_budget(stub: Stub) -> None:
    request = pb.PrepareRequest(
        data=PHOTO,
        media_type="image/jpeg",
        profile=pb.Profile(name="small", max_pixels=30_000, multiple_of=28),
    )
    response = await stub.Prepare(request, timeout=60)
    picture = opened(response.data)
    assert picture.format == "WEBP"
    assert response.media_type == "image/webp"
    assert picture.width * picture.height <= 30_000
    assert picture.width % 28 == 0
    assert picture.height % 28 == 0
    report = response.report
    assert (report.original.width, report.original.height) == (400, 300)
    assert (report.prepared.width, report.prepared.height) == picture.size
    assert report.original_bytes == len(PHOTO)
    assert report.prepared_bytes == len(response.data)
    assert report.media_type == "image/jpeg"
    assert report.steps[-1] == "webp 85"
    assert not report.cached


async def test_the_same_request_gives_the_same_bytes_and_the_second_comes_from_the_cache(
    stub: Stub,
) -> None:
    first = await stub.Prepare(pb.PrepareRequest(data=SHOT), timeout=60)
    second = await stub.Prepare(pb.PrepareRequest(data=SHOT), timeout=60)
    other = await stub.Prepare(
        pb.PrepareRequest(data=SHOT, profile=pb.Profile(sharpen=1.0)), timeout=60
    )
    assert second.data == first.data
    assert second.report.cached
    assert not other.report.cached
    assert other.data != first.data


async def test_the_same_picture_sent_twice_at_once_is_prepared_once(stub: Stub) -> None:
    shot = encoded(noise(210, 310, seed=9), "PNG")
    answers = await asyncio.gather(
        *(stub.Prepare(pb.PrepareRequest(data=shot), timeout=60) for _ in range(4))
    )
    assert len({each.data for each in answers}) == 1
    assert sorted(each.report.cached for each in answers) == [False, True, True, True]
    # Another caller's copy is his own: nobody learns that somebody else sent it.
    other = await stub.Prepare(pb.PrepareRequest(data=shot, cache_scope="b"), timeout=60)
    assert not other.report.cached
    assert other.data == answers[0].data


async def test_nothing_of_the_original_but_its_pixels_is_passed_on(stub: Stub) -> None:
    exif = Image.Exif()
    exif[0x010E] = "the customer's kitchen"
    exif.get_ifd(0x8825)[1] = "N"
    sink = io.BytesIO()
    Image.fromarray(noise(64, 48)).save(sink, "JPEG", exif=exif, comment=b"secret words")
    assert b"kitchen" in sink.getvalue()
    response = await stub.Prepare(pb.PrepareRequest(data=sink.getvalue()), timeout=60)
    picture = opened(response.data)
    assert not picture.getexif()
    assert "icc_profile" not in picture.info
    assert b"kitchen" not in response.data
    assert b"secret" not in response.data


@pytest.mark.parametrize(
    ("data", "media_type", "reason", "field"),
    [
        (b"", "image/png", Reason.PICTURE_EMPTY, "data"),
        (SHOT[: len(SHOT) // 2], "image/png", Reason.PICTURE_DAMAGED, "data"),
        (SHOT[:20], "image/png", Reason.PICTURE_DAMAGED, "data"),
        (PHOTO[: len(PHOTO) // 2], "", Reason.PICTURE_DAMAGED, "data"),
        (PHOTO[:9], "", Reason.PICTURE_DAMAGED, "data"),
        (
            np.random.default_rng(3).bytes(5000),
            "image/png",
            Reason.PICTURE_FORMAT_UNSUPPORTED,
            "data",
        ),
        (PHOTO, "image/png", Reason.PICTURE_MEDIA_TYPE_MISMATCH, "media_type"),
        (GIF, "image/png", Reason.PICTURE_FORMAT_UNSUPPORTED, "data"),
        (b"%PDF-1.7\n" + b"x" * 999, "image/jpeg", Reason.PICTURE_FORMAT_UNSUPPORTED, "data"),
        (SHOT + b"\x00" * (20 * 1024 * 1024), "image/png", Reason.PICTURE_TOO_LARGE, "data"),
        (png_bomb(30_000, 30_000), "image/png", Reason.PICTURE_TOO_MANY_PIXELS, "data"),
        (png_bomb(0, 5), "image/png", Reason.PICTURE_DAMAGED, "data"),
    ],
    ids=[
        "empty",
        "truncated PNG",
        "PNG without a size",
        "truncated JPEG",
        "JPEG without a frame",
        "random bytes",
        "wrong media type",
        "renamed GIF",
        "renamed PDF",
        "one byte too large",
        "bomb",
        "no columns",
    ],
)
async def test_bad_input_is_refused_soon_with_its_reason_and_field(
    stub: Stub, data: bytes, media_type: str, reason: Reason, field: str
) -> None:
    if reason is Reason.PICTURE_TOO_LARGE:
        data = data[: 20 * 1024 * 1024 + 1]
    error = await refused(stub, pb.PrepareRequest(data=data, media_type=media_type))
    assert (error.reason, error.field) == (reason, field)


@pytest.mark.parametrize(
    ("profile", "field"),
    [
        (pb.Profile(contrast=9), "profile.contrast"),
        (pb.Profile(sharpen=float("nan")), "profile.sharpen"),
        (pb.Profile(webp_quality=101), "profile.webp_quality"),
        (pb.Profile(max_pixels=13_000_000), "profile.max_pixels"),
        (pb.Profile(min_pixels=9, max_pixels=8), "profile.min_pixels"),
        (pb.Profile(name="n" * 65), "profile.name"),
    ],
)
async def test_a_wrong_setting_is_named(stub: Stub, profile: pb.Profile, field: str) -> None:
    error = await refused(stub, pb.PrepareRequest(data=SHOT, profile=profile))
    assert (error.reason, error.field) == (Reason.SETTING_INVALID, field)


async def test_a_decoders_own_words_never_reach_the_caller(stub: Stub) -> None:
    error = await refused(stub, pb.PrepareRequest(data=PHOTO[: len(PHOTO) // 2]))
    assert error.message == "the picture is damaged or cut short; send it again"


async def test_a_larger_jpeg_is_taken_where_the_caller_lets_it_be_scaled_down(stub: Stub) -> None:
    large = encoded(np.full((4000, 4000, 3), 200, np.uint8), "JPEG", quality=30)
    error = await refused(stub, pb.PrepareRequest(data=large))
    assert error.reason is Reason.PICTURE_TOO_MANY_PIXELS
    assert error.metadata["got"] == "16000000"
    request = pb.PrepareRequest(
        data=large, scale_down_oversized=True, profile=pb.Profile(max_pixels=1_000_000)
    )
    response = await stub.Prepare(request, timeout=60)
    assert response.report.original.width == 4000
    assert response.report.prepared.width == 1000


async def test_health_says_serving(channel: grpc.aio.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for service in ("", SERVICE):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service), timeout=60)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_more_pictures_than_the_queue_holds_are_refused_at_once_with_a_time_to_come_back(
    stub: Stub, sidecar: Sidecar
) -> None:
    # One worker and a queue of four: of twenty different pictures at once most must be told to come back.
    pictures = [encoded(noise(700, 700, seed), "PNG", compress_level=1) for seed in range(20)]
    results = await asyncio.gather(
        *(stub.Prepare(pb.PrepareRequest(data=each), timeout=60) for each in pictures),
        return_exceptions=True,
    )
    answers = [each for each in results if isinstance(each, pb.PrepareResponse)]
    errors = [from_call_error(each) for each in results if isinstance(each, grpc.aio.AioRpcError)]
    assert len(answers) + len(errors) == 20
    assert len(answers) >= 5
    assert errors
    for error in errors:
        assert error is not None
        assert error.reason is Reason.OVERLOADED
        assert error.retry_after
    assert sidecar.pool.waiting == 0


async def test_callers_that_go_away_leave_the_queue_and_no_slot_is_lost(
    stub: Stub, sidecar: Sidecar
) -> None:
    calls = [
        stub.Prepare(pb.PrepareRequest(data=encoded(noise(900, 900, seed), "BMP")), timeout=60)
        for seed in range(100, 104)
    ]
    tasks = [asyncio.ensure_future(_wait(call)) for call in calls]
    async with asyncio.timeout(60):
        # The worker has begun: cancelling must not free its slot. A plain counter, so there is no event to wait for.
        while sidecar.pool.busy == 0:
            await asyncio.sleep(0.005)
    for call in calls:
        call.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    response = await stub.Prepare(pb.PrepareRequest(data=SHOT), timeout=60)
    assert response.data
    async with asyncio.timeout(60):
        # The answer may come from the cache, before the sidecar has heard that the others have gone.
        while sidecar.pool.waiting or sidecar.pool.busy > 1:
            await asyncio.sleep(0.005)


async def _wait(call: grpc.aio.UnaryUnaryCall[pb.PrepareRequest, pb.PrepareResponse]) -> None:
    await call


async def test_crop_mode_forbid_is_obeyed_and_said(stub: Stub) -> None:
    request = pb.PrepareRequest(data=SHOT, crop_mode=picture_pb2.CROP_MODE_FORBID)
    response = await stub.Prepare(request, timeout=60)
    assert response.report.crop.kind == "forbidden"
    assert response.report.crop.top_px == 0
