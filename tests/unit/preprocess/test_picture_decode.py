"""Decoding: every odd kind of file comes out as the upright RGB picture that a person would see."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from kefu_common.errors import KefuError, Reason
from kefu_preprocess.domain.decode import Decoded, decode
from kefu_preprocess.domain.enhance import to_srgb
from kefu_preprocess.domain.formats import sniff
from kefu_preprocess.domain.values import Limits
from tests.unit.preprocess.pictures import encoded, noise

ALL = 10**9


def decoded(data: bytes, budget: int = ALL) -> Decoded:
    found = sniff(data)
    assert found is not None
    return decode(data, found, Limits(), budget=budget, scale_down=False)


def corners(pixels: NDArray[Any]) -> list[tuple[int, ...]]:
    """Colours of the four quarters: top left, top right, bottom left, bottom right."""
    rows, columns = pixels.shape[:2]
    places = [(1, 1), (1, 3), (3, 1), (3, 3)]
    return [tuple(int(v) for v in pixels[rows * y // 4, columns * x // 4]) for y, x in places]


def quarters() -> NDArray[np.uint8]:
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:32, :48], pixels[:32, 48:] = (250, 0, 0), (0, 250, 0)
    pixels[32:, :48], pixels[32:, 48:] = (0, 0, 250), (250, 250, 0)
    return pixels


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    upright = quarters()
    # How a camera stores it: the inverse of what Pillow's own transpose would undo.
    inverse = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    stored = Image.fromarray(upright)
    if inverse is not None:
        stored = stored.transpose(inverse)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = (
        {"lossless": True}
        if kind == "WEBP"
        else {"quality": 95, "subsampling": 0}
        if kind == "JPEG"
        else {}
    )
    sink = io.BytesIO()
    stored.save(sink, kind, exif=exif, **options)
    result = decoded(sink.getvalue())
    assert result.size == (96, 64)
    assert result.pixels.shape == (64, 96, 3)
    for found, wanted in zip(corners(result.pixels), corners(upright), strict=True):
        assert np.abs(np.subtract(found, wanted)).max() < 16


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    grey = np.full((40, 50, 3), 200, np.uint8)
    grey[:20] = 30
    sink = io.BytesIO()
    Image.fromarray(grey).convert(mode).save(sink, kind)
    pixels = decoded(sink.getvalue()).pixels
    assert pixels.shape == (40, 50, 3)
    assert pixels.dtype == np.uint8
    assert pixels[:18].mean() < 60
    assert pixels[22:].mean() > 180


def test_sixteen_bits_of_grey_keep_their_range() -> None:
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16)[None, :].repeat(8, axis=0)
    pixels = decoded(encoded(ramp, "PNG")).pixels
    assert pixels[0, 0, 0] == 0
    assert pixels[0, -1, 0] == 255
    assert 120 <= pixels[0, 128, 0] <= 136


@pytest.mark.parametrize(("ink", "paper"), [(20, 255), (250, 0)])
def test_a_transparent_picture_lies_on_the_paper_that_shows_it(ink: int, paper: int) -> None:
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[10:20, 10:20] = (ink, ink, ink, 255)
    pixels = decoded(encoded(rgba, "PNG")).pixels
    assert pixels[0, 0].tolist() == [paper] * 3
    assert pixels[15, 15].tolist() == [ink] * 3


def test_a_webp_with_transparency_lies_on_paper_as_well() -> None:
    """Decoded by libwebp itself, what is transparent would be whatever the maker left there."""
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[:, :] = (200, 0, 0, 0)
    rgba[10:30, 10:30] = (20, 20, 20, 255)
    for options in ({"lossless": True, "exact": True}, {"quality": 90, "exact": True}):
        pixels = decoded(encoded(rgba, "WEBP", **options)).pixels
        assert pixels[0, 0].tolist() == [255] * 3
        assert pixels[20, 20].max() < 60


def test_a_light_picture_with_rounded_corners_lies_on_white() -> None:
    """On black, what is in the corners of a screenshot would be taken for a part of it."""
    rgba = np.full((80, 80, 4), 250, np.uint8)
    rgba[:, :, 3] = 255
    rgba[:8, :8, 3] = 0
    assert decoded(encoded(rgba, "PNG")).pixels[2, 2].tolist() == [255] * 3


def test_of_an_animation_the_first_frame_is_taken() -> None:
    sink = io.BytesIO()
    first, second = (Image.new("RGB", (32, 32), colour) for colour in ("red", "blue"))
    first.save(sink, "WEBP", save_all=True, append_images=[second], lossless=True)
    assert decoded(sink.getvalue()).pixels[16, 16].tolist() == [255, 0, 0]


def test_a_colour_profile_that_is_srgb_or_broken_changes_nothing() -> None:
    pixels = np.full((4, 4, 3), (10, 200, 10), np.uint8)
    linear = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert to_srgb(pixels, srgb) is pixels
    for unfit in (b"no profile at all", lab, linear[:50]):
        assert np.array_equal(to_srgb(pixels, unfit), pixels)


def test_colours_are_those_of_the_profile() -> None:
    """A profile made of sRGB's own, its red and its green exchanged: what is written as red is seen as green."""
    srgb = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {}
    for number in range(int.from_bytes(srgb[128:132], "big")):
        name, place, size = struct.unpack_from(">4sII", srgb, 132 + 12 * number)
        tags[name] = slice(place, place + size)
    srgb[tags[b"rXYZ"]], srgb[tags[b"gXYZ"]] = srgb[tags[b"gXYZ"]], srgb[tags[b"rXYZ"]]
    other = bytes(srgb).replace("sRGB".encode("utf-16-be"), "abcd".encode("utf-16-be"))
    pixels = np.full((4, 4, 3), (200, 10, 10), np.uint8)
    seen = to_srgb(pixels, other.replace(b"sRGB", b"abcd"))
    assert np.abs(seen.astype(int) - (10, 200, 10)).max() <= 3


@pytest.mark.parametrize(
    ("budget", "reduction"), [(ALL, 1), (800 * 600, 1), (400 * 300, 2), (200 * 150, 4), (1, 8)]
)
def test_a_jpeg_is_decoded_small_where_the_budget_allows(budget: int, reduction: int) -> None:
    result = decoded(encoded(noise(800, 600), "JPEG"), budget)
    assert result.reduction == reduction
    assert result.size == (800, 600)
    assert result.pixels.shape == (600 // reduction, 800 // reduction, 3)


def test_a_jpeg_with_odd_but_harmless_bytes_is_still_decoded() -> None:
    data = encoded(noise(64, 48), "JPEG")
    padded = data[:2] + b"\xff\xff" + data[2:] + b"trailing words"
    assert decoded(padded).pixels.shape == (48, 64, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_that_was_cut_short_is_damaged(kind: str, share: float) -> None:
    data = encoded(noise(200, 150), kind)
    with pytest.raises(KefuError) as caught:
        decoded(data[: int(len(data) * share)])
    assert caught.value.reason is Reason.PICTURE_DAMAGED


@pytest.mark.parametrize("options", [{"quality": 70}, {"lossless": True}, {"exif": b"Exif\0\0"}])
def test_plain_webp_has_the_pixels_that_pillow_sees(options: dict[str, Any]) -> None:
    """It is decoded by libwebp itself: as an animation a 12 MP picture took a quarter of a gigabyte."""
    data = encoded(noise(120, 90), "WEBP", **options)
    assert np.array_equal(decoded(data).pixels, np.asarray(Image.open(io.BytesIO(data))))


def test_a_webp_that_is_cut_short_is_refused() -> None:
    data = encoded(noise(120, 90), "WEBP", quality=70)
    with pytest.raises(KefuError) as caught:
        decoded(data[: len(data) // 2])
    assert caught.value.reason is Reason.PICTURE_DAMAGED


def test_transparency_is_the_same_in_every_strip() -> None:
    """Paper is laid under 256 rows at a time: no seam between them."""
    rgba = np.dstack([np.full((700, 8, 3), 40, np.uint8), np.full((700, 8), 128, np.uint8)])
    pixels = decoded(encoded(rgba, "PNG")).pixels
    assert pixels.shape == (700, 8, 3)
    assert (pixels == pixels[0, 0]).all()
    assert 140 <= int(pixels[0, 0, 0]) <= 155
