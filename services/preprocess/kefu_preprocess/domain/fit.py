"""How large the prepared picture is: within the model's pixel budget, in whole patches.

The rule is `smart_resize` of Qwen2-VL's image processor (Apache-2.0, transformers), with WebP's own limit added.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from kefu_preprocess.domain.decode import Pixels
from kefu_preprocess.domain.values import Profile

# WebP stores 14 bits for each side (RFC 9649 §2.5).
_LONGEST_SIDE = 16383


def target_size(width: int, height: int, profile: Profile) -> tuple[int, int]:
    """(width, height) in pixels for a picture of that size; the proportions are kept up to half a patch."""
    patch = profile.multiple_of
    scale = 1.0
    if width * height > profile.max_pixels:
        scale = math.sqrt(profile.max_pixels / (width * height))
    elif width * height < profile.min_pixels:
        scale = math.sqrt(profile.min_pixels / (width * height))
    scale = min(scale, _LONGEST_SIDE / max(width, height))
    fitted = (_patches(width * scale, patch), _patches(height * scale, patch))
    # Rounding up may have gone over the budget, by one patch a side at most; very long strips need the loop.
    while fitted[0] * fitted[1] > profile.max_pixels:
        wider = fitted[0] >= fitted[1]
        fitted = (fitted[0] - patch * wider, fitted[1] - patch * (not wider))
    return fitted


def _patches(length: float, patch: int) -> int:
    most = _LONGEST_SIDE // patch
    return min(most, max(1, round(length / patch))) * patch


def resize(pixels: Pixels, width: int, height: int) -> Pixels:
    """Shrinks by halves, each pixel the mean of four, and the rest of the way by linear interpolation, which then still
    sees every pixel: a fifth of the time of area means, and small text reads the same. Enlarges by cubic ones."""
    rows, columns = pixels.shape[:2]
    if (columns, rows) == (width, height):
        return pixels
    shrinks = width <= columns and height <= rows
    while shrinks and columns >= 2 * width and rows >= 2 * height:
        rows, columns = rows // 2, columns // 2
        pixels = np.asarray(cv2.resize(pixels, (columns, rows)), np.uint8)
    method = cv2.INTER_LINEAR if shrinks else cv2.INTER_CUBIC
    return cv2.resize(pixels, (width, height), interpolation=method).astype(np.uint8, copy=False)
