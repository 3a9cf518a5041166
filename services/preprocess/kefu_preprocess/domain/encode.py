"""WebP, and nothing of the original but its pixels: no EXIF, no position, no colour profile, no comments.

Method 2 was chosen by measurement (docs/pictures.md): 40 % of the time of Pillow's method 4 for 3 % more bytes, while
methods 0 and 1 save little more time and cost a third more bytes.
"""

from __future__ import annotations

import io

from PIL import Image

from kefu_preprocess.domain.decode import Pixels

_METHOD = 2
# Lossless has another scale: `quality` is effort there, and 0 is the fastest.
_LOSSLESS_EFFORT = 0


def encode_webp(pixels: Pixels, quality: int) -> bytes:
    """`quality` 1 to 100, or 0 for lossless. The same pixels give the same bytes."""
    sink = io.BytesIO()
    picture = Image.fromarray(pixels)
    if quality == 0:
        picture.save(sink, "WEBP", lossless=True, quality=_LOSSLESS_EFFORT, method=0)
    else:
        picture.save(sink, "WEBP", quality=quality, method=_METHOD)
    return sink.getvalue()
