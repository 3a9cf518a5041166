"""Plain PNG files by libdeflate and libpng (OpenCV), in half of Pillow's time; every other PNG is left to Pillow.

Plain: red, green and blue, no transparency, not interlaced, in a file whose every chunk is whole; screenshots of phones
are that, with 8 bits a colour or, of wide-gamut screens, 16. A file that fails any check is not refused here: Pillow
says what is wrong with it, or reads it.

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
# Bytes of a pixel by bit depth 8 or 16 and colour type 2 (RGB) or 6 (RGBA), each with deflate, adaptive filters and no
# interlacing (W3C PNG §11.2.1).
_RGBA = b"\x08\x06\x00\x00\x00"
_DEPTHS = {b"\x08\x02\x00\x00\x00": 3, b"\x10\x02\x00\x00\x00": 6, _RGBA: 4}
# Transparency by a colour and moving pictures change samples. No other chunk that a decoder may skip (§5.4: its first
# letter is small) does: what they say of colour is applied later (iCCP) or by nobody (gAMA, cHRM), as in Pillow.
_CHANGES_PIXELS = frozenset({b"tRNS", b"acTL", b"fcTL", b"fdAT"})
_MUST_KNOW = frozenset({b"IHDR", b"IDAT", b"IEND"})
# zlib's header for data that is not compressed (RFC 1950 §2.2), and the most bytes of one stored block.
_STORED, _BLOCK = b"\x78\x01", 65535


def decode_plain_png(data: bytes, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    """RGB, uint8, as stored (no EXIF rotation); None where Pillow must look at the file. `size` is the (width, height)
    that was admitted: no more is decompressed than its rows hold."""
    width, height = size
    depth = _DEPTHS.get(data[24:29])
    if depth is None or data[16:24] != width.to_bytes(4, "big") + height.to_bytes(4, "big"):
        return None
    alpha = data[24:29] == _RGBA
    stored = _stored(data, height * (1 + width * depth))
    if stored is None:
        return None
    # Of 16 bits both readers keep the higher eight.
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
    pixels: list[memoryview] = []
    while position + 12 <= len(data):
        end = position + 8 + int.from_bytes(view[position : position + 4], "big")
        kind = bytes(view[position + 4 : position + 8])
        if end + 4 > len(data) or not _harmless(kind, behind=bool(pixels)):
            return None
        if deflate.crc32(view[position + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            return None
        if kind == b"IEND":
            return b"".join(pixels)
        if kind == b"IDAT":
            pixels.append(view[position + 8 : end])
        position = end + 4
    return None


def _harmless(kind: bytes, *, behind: bool) -> bool:
    if kind in _MUST_KNOW:
        return not (behind and kind == b"IHDR")
    return not behind and kind[:1].islower() and kind not in _CHANGES_PIXELS
