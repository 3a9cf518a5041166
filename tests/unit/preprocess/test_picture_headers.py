"""Sizes and formats from the first bytes, compared with what Pillow finds."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kefu_common.errors import KefuError, Reason
from kefu_preprocess.domain.formats import Format, admit, sniff
from kefu_preprocess.domain.headers import admit_size
from kefu_preprocess.domain.values import Limits
from tests.unit.preprocess.pictures import encoded, noise, png_bomb

LIMITS = Limits()
SIZES = st.tuples(st.integers(1, 300), st.integers(1, 300))


@pytest.mark.parametrize("kind", list(Format))
@given(size=SIZES)
def test_the_size_is_what_pillow_says(kind: Format, size: tuple[int, int]) -> None:
    sink = io.BytesIO()
    Image.new("RGB", size, "red").save(sink, kind.value)
    assert sniff(sink.getvalue()) is kind
    assert admit_size(sink.getvalue(), kind, LIMITS, scale_down=False) == size


@pytest.mark.parametrize(
    "options", [{"lossless": True}, {"exif": Image.Exif().tobytes()}, {"quality": 40}]
)
def test_every_kind_of_webp_header_is_read(options: dict[str, object]) -> None:
    data = encoded(noise(123, 45), "WEBP", **options)
    assert admit_size(data, Format.WEBP, LIMITS, scale_down=False) == (123, 45)


@pytest.mark.parametrize(
    "signature", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF0000WEBP", b"BM"]
)
@given(rest=st.binary(max_size=200))
def test_no_header_brings_anything_but_a_size_or_a_reason(signature: bytes, rest: bytes) -> None:
    data = signature + rest
    found = sniff(data)
    if found is None:
        return
    outcome = _size_or_reason(data, found)
    if isinstance(outcome, Reason):
        assert outcome in (Reason.PICTURE_DAMAGED, Reason.PICTURE_TOO_MANY_PIXELS)
    else:
        assert 0 < outcome[0] * outcome[1] <= LIMITS.max_pixels


def _size_or_reason(data: bytes, found: Format) -> tuple[int, int] | Reason:
    try:
        return admit_size(data, found, LIMITS, scale_down=False)
    except KefuError as error:
        return error.reason


def test_a_bmp_whose_rows_run_down_has_its_size() -> None:
    data = bytearray(encoded(noise(20, 10), "BMP"))
    data[22:26] = struct.pack("<i", -10)
    assert admit_size(bytes(data), Format.BMP, LIMITS, scale_down=False) == (20, 10)


def test_a_jpeg_may_be_larger_where_it_can_be_scaled_down() -> None:
    tall = bytearray(encoded(noise(8, 8), "JPEG"))
    frame = tall.index(b"\xff\xc0")
    tall[frame + 5 : frame + 9] = struct.pack(">HH", 5000, 8000)
    data = bytes(tall)
    with pytest.raises(KefuError) as caught:
        admit_size(data, Format.JPEG, LIMITS, scale_down=False)
    assert caught.value.reason is Reason.PICTURE_TOO_MANY_PIXELS
    assert caught.value.metadata == {"limit": "12000000", "got": "40000000", "unit": "pixels"}
    assert admit_size(data, Format.JPEG, LIMITS, scale_down=True) == (8000, 5000)


def test_a_bomb_of_another_format_is_refused_even_so() -> None:
    with pytest.raises(KefuError) as caught:
        admit_size(png_bomb(8000, 5000), Format.PNG, LIMITS, scale_down=True)
    assert caught.value.reason is Reason.PICTURE_TOO_MANY_PIXELS


@pytest.mark.parametrize(
    "declared",
    ["", "image/jpeg", "IMAGE/JPG", "image/jpeg; q=1", "application/octet-stream", "image/pjpeg"],
)
def test_what_callers_call_a_jpeg_is_accepted(declared: str) -> None:
    assert admit(encoded(noise(8, 8), "JPEG"), declared, LIMITS) is Format.JPEG


@pytest.mark.parametrize("declared", ["image/png", "application/pdf", "text/plain", "jpeg"])
def test_what_a_jpeg_is_not_is_a_mismatch(declared: str) -> None:
    with pytest.raises(KefuError) as caught:
        admit(encoded(noise(8, 8), "JPEG"), declared, LIMITS)
    assert caught.value.reason is Reason.PICTURE_MEDIA_TYPE_MISMATCH
    assert caught.value.metadata["found"] == "image/jpeg"


def test_as_many_bytes_as_are_allowed_are_taken() -> None:
    data = encoded(noise(20, 20), "PNG")
    assert admit(data, "", Limits(max_bytes=len(data))) is Format.PNG
    with pytest.raises(KefuError) as caught:
        admit(data, "", Limits(max_bytes=len(data) - 1))
    assert caught.value.reason is Reason.PICTURE_TOO_LARGE


def test_text_that_begins_with_bm_is_no_picture() -> None:
    assert sniff(b"BMW is a maker of cars, and this is a text.") is None


@pytest.mark.parametrize(("subsampling", "admitted"), [(2, True), (0, False)])
def test_a_large_jpeg_is_weighed_by_its_samples(subsampling: int, admitted: bool) -> None:
    """A progressive file of 48 MP with full colours (4:4:4) would have held 288 MB of coefficients."""
    data = encoded(noise(600, 400), "JPEG", subsampling=subsampling, progressive=True)
    limits = Limits(max_pixels=100_000, max_pixels_scaled=300_000)
    if admitted:
        assert admit_size(data, Format.JPEG, limits, scale_down=True) == (600, 400)
        return
    with pytest.raises(KefuError) as caught:
        admit_size(data, Format.JPEG, limits, scale_down=True)
    assert caught.value.metadata["limit"] == "150000"
