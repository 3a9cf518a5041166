"""Which bars to cut."""

from __future__ import annotations

from kefu_preprocess.domain.decode import Pixels
from kefu_preprocess.domain.values import Crop, CropMode


def find_crop(pixels: Pixels, mode: CropMode) -> Crop:
    """What to cut, in pixels of `pixels`."""
    if mode is CropMode.FORBID:
        return Crop(kind="forbidden")
    return Crop(kind="unsure", confidence=0.5)
