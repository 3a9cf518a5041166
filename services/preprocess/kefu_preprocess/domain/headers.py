"""A picture's width and height from its header, without any decoder.

Bombs are refused by these numbers, in microseconds and before a worker is asked: even opening a WebP file lets libwebp
allocate its whole canvas. Sources: PNG (W3C) §11.2.2, RFC 9649 (WebP) §2.5-2.7, ITU-T T.81 annex B, BITMAPCOREHEADER
and BITMAPINFOHEADER of the Windows documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kefu_common.errors import KefuError, Reason
from kefu_preprocess.domain.formats import Format, damaged
from kefu_preprocess.domain.values import Limits

Size = tuple[int, int]
# Samples a pixel of a photo whose colours have a quarter of the resolution (4:2:0), as cameras and phones write them.
_USUAL_SAMPLES = 1.5


def admit_size(data: bytes, found: Format, limits: Limits, *, scale_down: bool) -> Size:
    """(width, height) as stored, before EXIF rotation.

    Raises KefuError PICTURE_DAMAGED where the header has no size, PICTURE_TOO_MANY_PIXELS where it is over the limit.
    With `scale_down` a JPEG may be larger: libjpeg decodes it at a half, a quarter or an eighth. How much larger
    depends on its samples: a file of several scans has the coefficients of all of them in memory, two bytes each.
    """
    size = _READERS[found](data)
    if size is None or size[0] < 1 or size[1] < 1:
        raise damaged(found)
    limit = limits.max_pixels
    if scale_down and found is Format.JPEG:
        limit = max(limit, int(limits.max_pixels_scaled * _USUAL_SAMPLES / _samples_a_pixel(data)))
    if size[0] * size[1] > limit:
        raise KefuError(
            Reason.PICTURE_TOO_MANY_PIXELS,
            f"the picture has {size[0]}×{size[1]} pixels; at most {limit} pixels are taken",
            field="data",
            limit=limit,
            got=size[0] * size[1],
            unit="pixels",
        )
    return size


def _png(data: bytes) -> Size | None:
    # IHDR must be the first chunk: length, type, width, height.
    if len(data) < 24 or data[12:16] != b"IHDR":
        return None
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _bmp(data: bytes) -> Size | None:
    if len(data) < 26:
        return None
    if data[14:18] == b"\x0c\x00\x00\x00":
        return int.from_bytes(data[18:20], "little"), int.from_bytes(data[20:22], "little")
    width = int.from_bytes(data[18:22], "little", signed=True)
    height = int.from_bytes(data[22:26], "little", signed=True)
    return width, abs(height)  # a negative height means rows from the top


def _webp(data: bytes) -> Size | None:
    if len(data) < 30:
        return None
    chunk = data[12:16]
    if chunk == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        return width, int.from_bytes(data[27:30], "little") + 1
    if chunk == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width = int.from_bytes(data[26:28], "little") & 0x3FFF
        return width, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None


# Start-of-frame markers C0-CF but for DHT (C4), JPG (C8) and DAC (CC).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers that stand alone, without a length: TEM, restarts, start of image.
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_SCAN_OR_END = frozenset({0xD9, 0xDA})


def _jpeg(data: bytes) -> Size | None:
    frame = _jpeg_frame(data)
    if frame is None:
        return None
    height = int.from_bytes(data[frame + 5 : frame + 7], "big")
    return int.from_bytes(data[frame + 7 : frame + 9], "big"), height


def _samples_a_pixel(data: bytes) -> float:
    """Of a JPEG: 1 for grey, 1.5 for 4:2:0, 3 for 4:4:4, 4 for CMYK; never less than the usual 1.5."""
    frame = _jpeg_frame(data)
    if frame is None or frame + 10 > len(data):
        return _USUAL_SAMPLES
    factors = [
        (data[at] >> 4 or 1) * (data[at] & 15 or 1)
        for at in range(frame + 11, min(frame + 11 + 3 * data[frame + 9], len(data)), 3)
    ]
    return max(_USUAL_SAMPLES, sum(factors) / max(factors, default=1))


def _jpeg_frame(data: bytes) -> int | None:
    """Where the marker of the frame header stands (T.81 B.2.2)."""
    position = 2
    while True:
        position = data.find(b"\xff", position)
        if position < 0 or position + 9 > len(data):
            return None
        marker = data[position + 1]
        if marker == 0xFF:  # fill bytes may stand before any marker
            position += 1
        elif marker == 0x00 or marker in _ALONE:
            position += 2
        elif marker in _SCAN_OR_END:
            return None
        elif marker in _FRAMES:
            return position
        else:
            length = int.from_bytes(data[position + 2 : position + 4], "big")
            position += 2 + max(2, length)


_READERS: Mapping[Format, Callable[[bytes], Size | None]] = {
    Format.PNG: _png,
    Format.BMP: _bmp,
    Format.WEBP: _webp,
    Format.JPEG: _jpeg,
}
