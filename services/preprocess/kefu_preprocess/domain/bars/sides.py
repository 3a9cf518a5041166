"""What a phone held across draws at its sides: Android's three buttons, and the black band beside a camera's cutout.

Phones alone: a tablet has its buttons at the bottom. Only columns without any content are ever cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from kefu_preprocess.domain.bars.bottom import find_navigation_bar
from kefu_preprocess.domain.bars.boundary import GRACE
from kefu_preprocess.domain.bars.glyphs import Grey
from kefu_preprocess.domain.bars.strip import SMALLEST
from kefu_preprocess.domain.decode import Pixels

# Width over height of a phone held across, from 16:10 up; photos are 4:3 and tablets at most 16:10.
_LONGEST_TABLET = 1.65
# Depth of the strip that is looked at, over the shorter side: buttons' bands are up to 13.5 % wide.
_DEPTH = 0.18
# Width of a cutout's band over the shorter side, and the grey level up to which it is black, JPEG's ringing included.
_BAND = (0.04, 0.2)
_BLACK = 20
# Levels by which the outermost column of a band of one colour may vary.
_EVEN = 6.0
# How many of the rows must be lighter behind the band's edge.
_LIT = 0.5


@dataclass(frozen=True, slots=True)
class Sides:
    """Columns that could be cut at the left and the right, in pixels of the picture, and what is there:
    "side_navigation_bar", "cutout_band", both joined by "+", or nothing. `sure`: even where no status bar is found."""

    left: int = 0
    right: int = 0
    kind: str = ""
    sure: bool = False


def find_side_bars(pixels: Pixels) -> Sides:
    """What the sides of an RGB picture look like. A black band is none where both sides have one: a letterboxed video;
    and proves nothing without a status bar between."""
    rows, columns = pixels.shape[:2]
    if rows < SMALLEST or columns < _LONGEST_TABLET * rows:
        return Sides()
    bands = [0, 0]
    kind = ""
    sure = False
    depth = int(rows * _DEPTH)
    for side, turn in enumerate((cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_90_CLOCKWISE)):
        strip = pixels[:, :depth] if side == 0 else pixels[:, columns - depth :]
        if float(strip[:, 0 if side == 0 else -1].std(axis=0).max()) > _EVEN:
            continue
        grey = np.asarray(cv2.cvtColor(np.ascontiguousarray(strip), cv2.COLOR_RGB2GRAY), np.uint8)
        # The side becomes the bottom: what is known of bottom bars is known of these.
        bar = find_navigation_bar(np.asarray(cv2.rotate(grey, turn), np.uint8), rows)
        if bar is not None and not kind:
            bands[side], kind, sure = bar.height, "side_navigation_bar", bar.edge
    black = [0 if bands[side] else _black_band(pixels, right=side == 1) for side in (0, 1)]
    if bool(black[0]) != bool(black[1]):
        bands = [bands[0] or black[0], bands[1] or black[1]]
        kind = f"{kind}+cutout_band" if kind else "cutout_band"
    return Sides(bands[0], bands[1], kind, sure)


def _black_band(pixels: Pixels, *, right: bool) -> int:
    """Width of a black band at a side, 0 where there is none: black in every row, and then an edge."""
    rows, columns = pixels.shape[:2]
    most = int(rows * _BAND[1])
    strip = pixels[:, columns - most :][:, ::-1] if right else pixels[:, :most]
    grey: Grey = np.asarray(cv2.cvtColor(np.ascontiguousarray(strip), cv2.COLOR_RGB2GRAY), np.uint8)
    black = np.asarray(grey.max(axis=0)) <= _BLACK
    width = most if black.all() else int(np.argmin(black))
    if not _BAND[0] * rows <= width < most - 4:
        return 0
    # A dark page is black at its side as well: where the band ends, most of the screen's height must begin.
    lit = float((grey[:, width + 3].astype(np.int16) - grey[:, width - 1] >= 12).mean())
    return max(0, width - max(1, round(GRACE * rows))) if lit >= _LIT else 0
