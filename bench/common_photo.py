"""A picture like a photo, drawn with a fixed seed, of about as many bytes as a phone sends after its app shrank it."""

from __future__ import annotations

import io
import os
from typing import Any

import cv2
import numpy as np
from PIL import Image


def photo(width: int = 900, height: int = 1200, *, target_bytes: int = 300_000) -> bytes:
    """A JPEG of nearly `target_bytes`: soft shapes, a gradient and grain, which compress as a camera's picture does."""
    random = np.random.default_rng(7)
    canvas: Any = np.full((height, width, 3), 235, np.uint8)
    for _ in range(60):
        centre = (int(random.integers(width)), int(random.integers(height)))
        colour = tuple(int(c) for c in random.integers(20, 255, 3))
        cv2.circle(canvas, centre, int(random.integers(20, 160)), colour, -1)
    canvas = cv2.GaussianBlur(canvas, (0, 0), 3)
    shade = np.linspace(0.75, 1.1, height, dtype=np.float32)[:, None, None]
    grain = random.normal(0, 7, (height, width, 1)).astype(np.float32)
    image = Image.fromarray(np.clip(canvas * shade + grain, 0, 255).astype(np.uint8))
    best = b""
    low, high = 20, 97
    while low <= high:  # a larger quality gives a larger file
        quality = (low + high) // 2
        out = io.BytesIO()
        image.save(out, "JPEG", quality=quality)
        data = out.getvalue()
        if not best or abs(len(data) - target_bytes) < abs(len(best) - target_bytes):
            best = data
        if len(data) < target_bytes:
            low = quality + 1
        else:
            high = quality - 1
    return best


def another(jpeg: bytes) -> bytes:
    """The same picture with other bytes, so that no cache knows it: a random comment behind the JPEG's first marker."""
    comment = os.urandom(16)
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]
