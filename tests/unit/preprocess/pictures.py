"""Pictures in every format that the tests need, made on the spot."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def noise(width: int, height: int, seed: int = 1) -> NDArray[np.uint8]:
    """Smooth colours with some grain: compresses like a photo. RGB."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([x * 255 / width, y * 255 / height, (x + y) * 127 / (width + height)], axis=2)
    grain = rng.normal(0, 6, base.shape)
    return np.clip(base + grain, 0, 255).astype(np.uint8)


def encoded(pixels: NDArray[Any], kind: str, **options: Any) -> bytes:
    """`pixels` as a file; `kind` is Pillow's name of the format."""
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, kind, **options)
    return sink.getvalue()


def opened(data: bytes) -> Image.Image:
    """A file as a loaded picture."""
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def png_bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that says it has width × height pixels."""
    rows = zlib.compress(b"\x00" * 1_000_000, 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    )
