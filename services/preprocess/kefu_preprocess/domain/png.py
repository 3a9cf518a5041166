"""Plain PNG files by libpng (OpenCV), in half of Pillow's time; every other PNG is left to Pillow.

Plain: 8 bits of red, green and blue, no transparency, not interlaced, in a file whose every chunk is whole; screenshots
of phones are that. A file that fails any check is not refused here: Pillow says what is wrong with it, or reads it.
"""

from __future__ import annotations

import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

_SIGNATURE = 8
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


def decode_plain_png(data: bytes) -> NDArray[np.uint8] | None:
    """RGB, uint8, as stored (no EXIF rotation); None where Pillow must look at the file."""
    alpha = data[24:29] == _RGBA
    if not (alpha or data[24:29] == _RGB) or not _whole(data):
        return None
    flags = cv2.IMREAD_UNCHANGED if alpha else cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        # None where libpng finds the compressed data damaged.
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    if pixels is None or pixels.dtype != np.uint8 or pixels.ndim != 3:
        return None
    if not alpha:
        return np.asarray(pixels)
    if pixels.shape[2] != 4 or int(pixels[:, :, 3].min()) != 255:
        return None
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB), np.uint8)


def _whole(data: bytes) -> bool:
    """Whether the chunks follow one another up to IEND, each with its checksum, and none changes samples."""
    view = memoryview(data)
    position = _SIGNATURE
    allowed = _BEFORE_PIXELS
    while position + 12 <= len(data):
        end = position + 8 + int.from_bytes(view[position : position + 4], "big")
        kind = bytes(view[position + 4 : position + 8])
        if kind not in allowed or end + 4 > len(data):
            return False
        if zlib.crc32(view[position + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            return False
        if kind == b"IEND":
            return True
        if kind == b"IDAT":
            allowed = _AFTER_PIXELS
        position = end + 4
    return False
