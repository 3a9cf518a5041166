"""Plain PNG files by libdeflate and libpng (OpenCV), in half of Pillow's time; every other PNG is left to Pillow.

Plain: 8 bits of red, green and blue, no transparency, not interlaced, in a file whose every chunk is whole; screenshots
of phones are that. A file that fails any check is not refused here: Pillow says what is wrong with it, or reads it.

OpenCV's libpng comes with the classic zlib, in which a screenshot spends two thirds of its time. So its rows are
decompressed by libdeflate and handed to libpng as a PNG whose data is stored, not compressed (RFC 1951 §3.2.4): what is
left to it are the filters, for which it has vector code.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import deflate
import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Words and EXIF behind the pixels are left to Pillow, so that whoever looks for them need not read so far.
_AFTER_PIXELS = frozenset({b"IDAT", b"IEND"})
# Bit depth 8, colour type 2 (RGB) or 6 (RGBA), deflate, adaptive filters, no interlacing (W3C PNG §11.2.1).
_RGB, _RGBA = b"\x08\x02\x00\x00\x00", b"\x08\x06\x00\x00\x00"
# Chunks that change no sample: what they say of colour is applied later (iCCP) or by nobody (gAMA, cHRM), as in Pillow.
_BEFORE_PIXELS = frozenset(
    {
        b"IHDR", b"IDAT", b"IEND", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"pHYs", b"tIME",
        b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"bKGD",
    }
)  # fmt: skip
# zlib's header for data that is not compressed (RFC 1950 §2.2), and the most bytes of one stored block.
_STORED, _BLOCK = b"\x78\x01", 65535


def decode_plain_png(data: bytes, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    """RGB, uint8, as stored (no EXIF rotation); None where Pillow must look at the file. `size` is the (width, height)
    that was admitted: no more is decompressed than its rows hold."""
    alpha = data[24:29] == _RGBA
    if not (alpha or data[24:29] == _RGB) or data[16:24] != b"".join(
        side.to_bytes(4, "big") for side in size
    ):
        return None
    width, height = size
    stored = _stored(data, height * (1 + width * (4 if alpha else 3)))
    if stored is None:
        return None
    flags = cv2.IMREAD_UNCHANGED if alpha else cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        # None where libpng finds a filter that there is not.
        pixels = cv2.imdecode(np.frombuffer(stored, np.uint8), flags)
    except cv2.error:
        return None
    del stored
    channels = 4 if alpha else 3
    if pixels is None or pixels.dtype != np.uint8 or pixels.shape != (height, width, channels):
        return None
    if not alpha:
        return np.asarray(pixels)
    if cv2.minMaxLoc(cv2.extractChannel(pixels, 3))[0] != 255:
        return None
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB), np.uint8)


def _stored(data: bytes, size: int) -> bytes | None:
    """The same rows in a PNG without compression and without other chunks, or None; `size` is that of the rows with
    their filters' bytes."""
    compressed = _pixel_data(data)
    if compressed is None:
        return None
    try:
        rows = memoryview(deflate.zlib_decompress(compressed, size))
    except deflate.DeflateError:
        return None
    if len(rows) != size:
        return None
    body: list[bytes | memoryview] = [b"IDAT", _STORED]
    for start, end in pairwise([*range(0, size, _BLOCK), size]):
        length = end - start
        body += (
            bytes([end == size]),
            length.to_bytes(2, "little"),
            (length ^ 0xFFFF).to_bytes(2, "little"),
            rows[start:end],
        )
    body.append(deflate.adler32(rows).to_bytes(4, "big"))
    checksum = 0
    for part in body:
        checksum = deflate.crc32(part, checksum)
    return b"".join(
        [
            data[:33],
            (sum(map(len, body)) - 4).to_bytes(4, "big"),
            *body,
            checksum.to_bytes(4, "big"),
            b"\0\0\0\0IEND\xaeB\x60\x82",
        ]
    )


def _pixel_data(data: bytes) -> bytes | None:
    """The compressed rows, if the chunks follow one another up to IEND, each with its checksum, and none changes
    samples."""
    view = memoryview(data)
    position = len(_SIGNATURE)
    allowed = _BEFORE_PIXELS
    pixels: list[memoryview] = []
    while position + 12 <= len(data):
        end = position + 8 + int.from_bytes(view[position : position + 4], "big")
        kind = bytes(view[position + 4 : position + 8])
        if kind not in allowed or end + 4 > len(data):
            return None
        if deflate.crc32(view[position + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            return None
        if kind == b"IEND":
            return b"".join(pixels)
        if kind == b"IDAT":
            allowed = _AFTER_PIXELS
            pixels.append(view[position + 8 : end])
        position = end + 4
    return None
