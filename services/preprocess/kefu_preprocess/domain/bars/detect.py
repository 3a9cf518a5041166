"""Which bars to cut: the status bar on top, and the gesture or navigation bar at the bottom where both are certain."""

from __future__ import annotations

from kefu_preprocess.domain.bars.bottom import find_bottom_bar
from kefu_preprocess.domain.bars.status import CERTAIN, find_status_bar
from kefu_preprocess.domain.bars.strip import top_strip
from kefu_preprocess.domain.decode import Pixels
from kefu_preprocess.domain.values import Crop, CropMode

# Confidence from which a caller who insists gets the likeliest bar.
_LIKELY = 0.3
# How sure one can be that a picture has no bar, when nothing on it looks like one: some bars cannot be read.
_NOTHING_SEEN = 0.95


def find_crop(pixels: Pixels, mode: CropMode) -> Crop:
    """What to cut off `pixels` (RGB), in their own pixels."""
    if mode is CropMode.FORBID:
        return Crop(kind="forbidden")
    strip = top_strip(pixels)
    bar = None if strip is None else find_status_bar(strip)
    if strip is None or bar is None:
        return Crop(kind="none", confidence=_NOTHING_SEEN)
    if bar.confidence < (_LIKELY if mode is CropMode.FORCE else CERTAIN):
        return Crop(kind="unsure", confidence=1.0 - bar.confidence)
    bottom = find_bottom_bar(pixels) if bar.confidence >= CERTAIN else None
    return Crop(
        top=bar.cut // strip.scale,
        bottom=0 if bottom is None else bottom.height,
        confidence=bar.confidence,
        kind="status_bar" if bottom is None else f"status_bar+{bottom.kind}",
    )
