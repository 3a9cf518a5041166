"""Which bars to cut: the status bar on top, and the gesture or navigation bar at the bottom where both are certain."""

from __future__ import annotations

from kefu_preprocess.domain.bars.status import CERTAIN, find_status_bar
from kefu_preprocess.domain.bars.strip import top_strip
from kefu_preprocess.domain.decode import Pixels
from kefu_preprocess.domain.values import Crop, CropMode

# Confidence from which a caller who insists gets the likeliest bar.
_LIKELY = 0.3


def find_crop(pixels: Pixels, mode: CropMode) -> Crop:
    """What to cut off `pixels` (RGB), in their own pixels."""
    if mode is CropMode.FORBID:
        return Crop(kind="forbidden")
    strip = top_strip(pixels)
    bar = None if strip is None else find_status_bar(strip)
    if strip is None or bar is None:
        return Crop(kind="none", confidence=0.95)
    if bar.confidence < (_LIKELY if mode is CropMode.FORCE else CERTAIN):
        return Crop(kind="unsure", confidence=1.0 - bar.confidence)
    top = bar.cut // strip.scale
    return Crop(top=top, confidence=bar.confidence, kind="status_bar")
