"""The quick way for plain PNG files gives what Pillow gives, and refuses nothing and admits nothing by itself."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from kefu_common.errors import KefuError, Reason
from kefu_preprocess.domain.decode import decode
from kefu_preprocess.domain.fit import resize
from kefu_preprocess.domain.formats import Format
from kefu_preprocess.domain.png import decode_plain_png
from kefu_preprocess.domain.values import Limits
from tests.unit.preprocess.pictures import encoded, noise

PIXELS = noise(90, 70)
SIZE = (PIXELS.shape[1], PIXELS.shape[0])
OPAQUE = np.dstack([PIXELS, np.full(PIXELS.shape[:2], 255, np.uint8)])


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 8
    while position < len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        yield data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += 12 + length


def file_of(parts: list[tuple[bytes, bytes]]) -> bytes:
    whole = b"\x89PNG\r\n\x1a\n"
    for kind, body in parts:
        whole += struct.pack(">I", len(body)) + kind + body
        whole += struct.pack(">I", zlib.crc32(kind + body))
    return whole


def words() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", "a phone")
    info.add_itxt("XML:com.adobe.xmp", "<x/>", zip=True)
    return info


ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("pixels", [PIXELS, OPAQUE], ids=["RGB", "RGBA"])
@pytest.mark.parametrize(
    "options", [{}, {"dpi": (72, 72)}, {"pnginfo": words()}, {"icc_profile": ICC}]
)
def test_a_plain_file_is_decoded_to_the_same_pixels(pixels: Any, options: dict[str, Any]) -> None:
    found = decode_plain_png(encoded(pixels, "PNG", **options), SIZE)
    assert found is not None
    assert np.array_equal(found, PIXELS)
    assert found.dtype == np.uint8


@pytest.mark.parametrize(
    "size", [(28, 771), (428, 51), (428, 102), (428, 103), (427, 52), (273, 1000), (1, 1), (1, 40)]
)
def test_rows_that_fill_many_blocks_or_just_one(size: tuple[int, int]) -> None:
    """Data that is not compressed has blocks of 65,535 bytes, which the first three fill exactly, one or two."""
    pixels = noise(*size)
    pixels[size[1] // 3 : size[1] // 2] = 200
    found = decode_plain_png(encoded(pixels, "PNG"), size)
    assert found is not None
    assert np.array_equal(found, pixels)


def test_of_sixteen_bits_the_higher_eight_stay_as_pillow_has_them() -> None:
    """Phones with wide-gamut screens write such screenshots."""
    deep = np.random.default_rng(4).integers(0, 65536, (60, 47, 3), np.uint16)
    data = bytes(cv2.imencode(".png", deep)[1])
    found = decode_plain_png(data, (47, 60))
    assert found is not None
    assert np.array_equal(found, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def test_chunks_that_a_decoder_may_skip_are_skipped() -> None:
    """Apple's own chunk kept every screenshot of an iPhone from the quick way."""
    first, *rest = chunks(encoded(PIXELS, "PNG"))
    for extra in ((b"iDOT", bytes(28)), (b"cICP", b"\x0c\x0d\0\1"), (b"orNT", b"\1")):
        found = decode_plain_png(file_of([first, extra, *rest]), SIZE)
        assert found is not None
        assert np.array_equal(found, PIXELS)
        # A chunk that one must know to read the picture, and a skippable one where Pillow might look for more.
        known = (extra[0].capitalize(), extra[1])
        assert decode_plain_png(file_of([first, known, *rest]), SIZE) is None
        assert decode_plain_png(file_of([first, *rest[:-1], extra, rest[-1]]), SIZE) is None


def test_pixels_may_be_cut_into_any_chunks() -> None:
    first, *rest = chunks(encoded(PIXELS, "PNG"))
    body = b"".join(body for kind, body in rest if kind == b"IDAT")
    for length in (1, 7, 1000):
        cut = [(b"IDAT", body[at : at + length]) for at in range(0, len(body), length)]
        found = decode_plain_png(file_of([first, *cut, (b"IEND", b"")]), SIZE)
        assert found is not None
        assert np.array_equal(found, PIXELS)


@pytest.mark.parametrize("rows", [PIXELS.shape[0] - 1, PIXELS.shape[0] + 1, 100_000])
def test_rows_that_do_not_fill_the_admitted_size_are_left_to_pillow(rows: int) -> None:
    """A header may promise more or fewer rows than there are: no more than the admitted ones are ever decompressed."""
    (kind, head), *rest = chunks(encoded(PIXELS, "PNG"))
    data = file_of([(kind, head[:4] + rows.to_bytes(4, "big") + head[8:]), *rest])
    assert decode_plain_png(data, (SIZE[0], rows)) is None
    assert decode_plain_png(data, SIZE) is None


def test_words_about_colour_change_no_sample() -> None:
    first, *rest = chunks(encoded(PIXELS, "PNG"))
    gamma = (b"gAMA", (100_000).to_bytes(4, "big"))
    whites = (
        b"cHRM",
        b"".join(
            n.to_bytes(4, "big") for n in (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
        ),
    )
    for extra in ([gamma], [whites], [gamma, whites], [(b"sRGB", b"\0")], [(b"sBIT", b"\5\5\5")]):
        data = file_of([first, *extra, *rest])
        found = decode_plain_png(data, SIZE)
        assert found is not None
        assert np.array_equal(found, PIXELS)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), PIXELS)


@pytest.mark.parametrize(
    "mode", ["L", "1", "P", "LA", "I;16", "PA of P", "RGBA", "interlaced", "tRNS", "moving"]
)
def test_everything_else_is_left_to_pillow(mode: str) -> None:
    if mode == "RGBA":
        data = encoded(np.dstack([PIXELS, PIXELS[:, :, 0]]), "PNG")
    elif mode == "I;16":
        data = encoded(PIXELS[:, :, 0].astype(np.uint16), "PNG")
    elif mode == "moving":
        first, *rest = chunks(encoded(PIXELS, "PNG"))
        data = file_of([first, (b"acTL", b"\0\0\0\1\0\0\0\0"), *rest])
    elif mode == "PA of P":
        data = encoded(PIXELS, "PNG", transparency=(1, 2, 3))
    elif mode == "tRNS":
        first, *rest = chunks(encoded(PIXELS, "PNG"))
        data = file_of([first, (b"tRNS", b"\0\1\0\2\0\3"), *rest])
    elif mode == "interlaced":
        (kind, head), *rest = chunks(encoded(PIXELS, "PNG"))
        data = file_of([(kind, head[:-1] + b"\1"), *rest])
    else:
        sink = io.BytesIO()
        Image.fromarray(PIXELS).convert(mode).save(sink, "PNG")
        data = sink.getvalue()
    assert decode_plain_png(data, SIZE) is None


def test_a_file_with_any_flaw_is_left_to_pillow() -> None:
    data = encoded(PIXELS, "PNG")
    for at in range(8, len(data), 97):
        assert decode_plain_png(data[:at], SIZE) is None
        assert decode_plain_png(data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :], SIZE) is None


def test_compressed_data_that_ends_early_is_damaged_although_every_checksum_fits() -> None:
    parts = list(chunks(encoded(PIXELS, "PNG")))
    body = b"".join(body for kind, body in parts if kind == b"IDAT")
    data = file_of([parts[0], (b"IDAT", body[: len(body) // 2]), (b"IEND", b"")])
    assert decode_plain_png(data, SIZE) is None
    with pytest.raises(KefuError) as caught:
        decode(data, Format.PNG, Limits(), budget=1, scale_down=False)
    assert caught.value.reason is Reason.PICTURE_DAMAGED


def test_exif_behind_the_pixels_still_turns_the_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    *parts, end = chunks(encoded(PIXELS, "PNG"))
    data = file_of([*parts, (b"eXIf", exif.tobytes()[6:]), end])
    decoded = decode(data, Format.PNG, Limits(), budget=1, scale_down=False)
    assert decoded.size == (70, 90)
    assert np.array_equal(decoded.pixels, np.rot90(PIXELS, -1))


@pytest.mark.parametrize("size", [(301, 203), (300, 200), (149, 99), (75, 50), (40, 7), (1, 1)])
def test_shrinking_keeps_the_light_and_makes_no_pattern(size: tuple[int, int]) -> None:
    width, height = size
    # A chequerboard of single pixels is what aliases most.
    y, x = np.mgrid[0:406, 0:602]
    board = np.repeat((((x + y) % 2) * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    small = resize(board, width, height)
    assert small.shape == (height, width, 3)
    assert abs(float(small.mean()) - 127.5) < 4
