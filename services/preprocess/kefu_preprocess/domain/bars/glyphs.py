"""The small shapes on the strip at a picture's edge: letters, digits and pictograms, whatever is behind them.

A top-hat (the picture minus its morphological opening; Serra, 1982) keeps what is thinner than a status bar's glyphs
can be and brighter than its surroundings, a bottom-hat what is darker. So one rule finds white glyphs on a photo, grey
ones on white, and black ones on a colour.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]

# Grey levels by which a glyph stands out. Several, because a faint bar may stand beside a strong title (and the other
# way round): each level sees its own shapes.
_LEVELS = (48, 96, 22)
_DARK = 110.0


@dataclass(frozen=True, slots=True)
class Glyph:
    """A connected shape: its box in pixels of the strip (right and bottom exclusive) and how many pixels it covers."""

    left: int
    top: int
    right: int
    bottom: int
    ink: int
    label: int

    @property
    def width(self) -> int:
        """Pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Pixels."""
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        """Vertical centre."""
        return (self.top + self.bottom) / 2


@dataclass(frozen=True, slots=True)
class Layer:
    """All glyphs of one polarity at one level. `relief` is how far each pixel stands out, `labels` the shapes."""

    glyphs: tuple[Glyph, ...]
    relief: Grey
    labels: NDArray[Any]
    bright: bool
    level: int


def layers(grey: Grey, largest: int) -> Iterator[Layer]:
    """Layers of a strip, for shapes up to `largest` pixels thick; of a dark strip the bright shapes first, as a caller
    stops where it is sure."""
    size = max(5, largest | 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (size, size))
    dark = cv2.mean(grey)[0] < _DARK
    for bright in (dark, not dark):
        operation = cv2.MORPH_TOPHAT if bright else cv2.MORPH_BLACKHAT
        relief = np.asarray(cv2.morphologyEx(grey, operation, kernel), np.uint8)
        for level in _LEVELS:
            yield _layer(relief, bright, level, size)


def _layer(relief: Grey, bright: bool, level: int, largest: int) -> Layer:
    mask = (relief >= level).view(np.uint8)
    # 16-bit labels take less than half of the time; four pixels a shape is the most that 8-connected shapes can crowd.
    narrow = mask.size < 4 * 65_535
    _, labels, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(
        mask,
        8,
        cv2.CV_16U if narrow else cv2.CV_32S,
        cv2.CCL_BOLELLI if narrow else cv2.CCL_GRANA,
    )
    # A photo has thousands of specks and a few huge shapes: neither is a glyph, and each costs time.
    fits = (stats[:, 3] <= largest * 1.5) & (stats[:, 2] <= largest * 10) & (stats[:, 4] >= 3)
    fits[0] = False
    glyphs = tuple(
        Glyph(left, top, left + width, top + height, ink, label)
        for label, (left, top, width, height, ink) in zip(
            np.flatnonzero(fits).tolist(), stats[fits].tolist(), strict=True
        )
    )
    return Layer(glyphs, relief, np.asarray(labels), bright, level)
