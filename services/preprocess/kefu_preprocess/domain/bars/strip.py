"""The part of a picture where a status bar could be, at a size where its glyphs can be read."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from kefu_preprocess.domain.bars.glyphs import Grey
from kefu_preprocess.domain.decode import Pixels

# Rows looked at, over the device's shorter side: a bar under a Dynamic Island is 15 % deep, and what follows it counts.
_DEPTH = 0.21
# Digits are a fortieth of the shorter side: below 700 pixels that is too few rows to compare shapes.
_COMFORTABLE = 700
# Shorter side of the smallest picture that is looked at, in pixels.
SMALLEST = 180


@dataclass(frozen=True, slots=True)
class Strip:
    """`rgb` and `grey` are the top rows, enlarged `scale` times; `unit` is the device's shorter side in their pixels.
    `portrait` says how the device was held."""

    rgb: Pixels
    grey: Grey
    scale: int
    unit: float
    portrait: bool

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.grey.shape[1])

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.grey.shape[0])


def top_strip(pixels: Pixels) -> Strip | None:
    """The strip, or None for a picture too small or too long-drawn to be a screen."""
    rows, columns = pixels.shape[:2]
    short = min(rows, columns)
    if short < SMALLEST or columns > 4 * rows:
        return None
    rgb = pixels[: int(short * _DEPTH)]
    scale = 1
    while short * scale < _COMFORTABLE:
        scale *= 2
    if scale > 1:
        rgb = np.asarray(
            cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8
        )
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    return Strip(rgb, grey, scale, float(short * scale), rows >= columns)
