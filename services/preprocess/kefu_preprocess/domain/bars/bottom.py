"""The bar at the bottom of a screen: a gesture handle, or the three buttons of Android's navigation bar.

It is only asked for where a status bar was found, and only rows without any content are ever cut: a handle that floats
over text stays, with the text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from kefu_preprocess.domain.bars.boundary import GRACE
from kefu_preprocess.domain.bars.glyphs import Glyph, Grey, Layer, layers
from kefu_preprocess.domain.bars.strip import SMALLEST
from kefu_preprocess.domain.decode import Pixels

# All over the shorter side. A handle: iOS 35 % × 1.2 %, Android 20 to 30 % × 0.5 to 0.9 %, up to 6 % from the edge.
_DEPTH = 0.18
# A bar's signs reach nearer to the edge than this.
_NEAR = 0.13
_HANDLE_HEIGHT = (0.0028, 0.02)
_HANDLE_WIDTH = (0.1, 0.46)
_HANDLE_FROM_EDGE = 0.062
# An iPhone across: 812 × 375 to 956 × 440 points, 2.163 to 2.174; its indicator is 24.5 to 26.2 % of the width long,
# 5 points thick (0.0114 to 0.0133 of the height), 8 above the edge, and never coloured.
_ACROSS = (2.155, 2.182)
_INDICATOR_DEPTH = 0.12
_INDICATOR_WIDTH, _INDICATOR_HEIGHT = (0.24, 0.268), (0.0108, 0.0142)
_INDICATOR_FROM_EDGE = (0.015, 0.0235)
_INDICATOR_TINT = 40
_BUTTON_HEIGHT = (0.02, 0.07)
_THICKEST = 0.055
_BUTTONS = (["triangle", "round", "square"], ["square", "round", "triangle"])
# A row is empty when no more than this share of it differs by more than so many levels from its median.
_EMPTY_SHARE, _EMPTY_STEP = 0.003, 16


@dataclass(frozen=True, slots=True)
class BottomBar:
    """`height`: rows to cut, in pixels of the picture. `kind`: "gesture_bar" or "navigation_bar". `edge`: whether its
    band ends with an edge of its own."""

    height: int
    kind: str
    edge: bool = False


def find_bottom_bar(pixels: Pixels) -> BottomBar | None:
    """The bar at the bottom of an RGB picture, or None where it is not certain."""
    rows, columns = pixels.shape[:2]
    unit = min(rows, columns)
    depth = int(unit * _DEPTH)
    grey = np.asarray(cv2.cvtColor(pixels[rows - depth :], cv2.COLOR_RGB2GRAY), np.uint8)
    if not empty_rows(grey[-2:], ()).all():
        return None  # neither reaches the last rows: most pages that scroll, in a hundredth of the time
    near = grey[depth - int(unit * _NEAR) :]
    lightest, darkest = cv2.reduce(near, 1, cv2.REDUCE_MAX), cv2.reduce(near, 1, cv2.REDUCE_MIN)
    if int(cv2.absdiff(lightest, darkest).max()) <= _EMPTY_STEP:
        return None  # nothing there at all
    for layer in layers(grey, int(_THICKEST * unit)):
        for find in (_gesture_bar, _navigation_bar):
            bar = find(grey, layer, unit)
            if bar is not None:
                return bar
    return None


def find_navigation_bar(grey: Grey, unit: int) -> BottomBar | None:
    """Three buttons at the bottom of a strip; `unit` is the device's shorter side in pixels."""
    for layer in layers(grey, int(_THICKEST * unit)):
        bar = _navigation_bar(grey, layer, unit)
        if bar is not None:
            return bar
    return None


def find_home_indicator(pixels: Pixels) -> BottomBar | None:
    """The home indicator of an iPhone held across, which shows no status bar then: a pill of one size, in the middle of
    rows that are empty but for it."""
    rows, columns = pixels.shape[:2]
    if rows < SMALLEST or not _ACROSS[0] * rows <= columns <= _ACROSS[1] * rows:
        return None
    depth = int(rows * _INDICATOR_DEPTH)
    grey = np.asarray(cv2.cvtColor(pixels[rows - depth :], cv2.COLOR_RGB2GRAY), np.uint8)
    if not empty_rows(grey[-3:], ()).all():
        return None
    # A layer has no shape longer than ten times its thickest.
    for layer in layers(grey, math.ceil(_INDICATOR_WIDTH[1] * columns / 10)):
        for glyph in layer.glyphs:
            if not _is_indicator(layer, glyph, rows, columns):
                continue
            core = pixels[
                rows - depth + int(glyph.middle),
                glyph.left + glyph.height : glyph.right - glyph.height,
            ]
            if int(np.ptp(np.median(core, axis=0))) > _INDICATOR_TINT:
                continue
            empty = empty_rows(grey, (glyph.left - 3, glyph.right + 3))
            first = glyph.top - glyph.height
            if first > 0 and empty[first:].all():
                return BottomBar(depth - first, "home_indicator")
    return None


def _is_indicator(layer: Layer, glyph: Glyph, rows: int, columns: int) -> bool:
    depth = layer.relief.shape[0]
    return (
        _INDICATOR_WIDTH[0] * columns <= glyph.width <= _INDICATOR_WIDTH[1] * columns
        and _INDICATOR_HEIGHT[0] * rows - 1 <= glyph.height <= _INDICATOR_HEIGHT[1] * rows + 1
        and abs(glyph.left + glyph.right - columns) <= max(3, 0.004 * columns)
        and _INDICATOR_FROM_EDGE[0] * rows - 1
        <= depth - glyph.bottom
        <= _INDICATOR_FROM_EDGE[1] * rows + 1
        and _round_ends(layer, glyph)
    )


def _round_ends(layer: Layer, glyph: Glyph) -> bool:
    """Whether both ends are half a disc: a ruler or a line of a table has square ones.

    A blurred rectangle is its upright profile times its level one, wherever one looks; what a round corner lacks of
    that product is (1 - π/4) / 4 of the square of the height, and stays nearly that through blur and JPEG.
    """
    edge = 2
    relief = layer.relief[
        max(0, glyph.top - edge) : glyph.bottom + edge,
        max(0, glyph.left - edge) : glyph.right + edge,
    ].astype(np.float32)
    upright = np.median(relief, axis=1)
    strongest = float(upright.max())
    if strongest <= 0:
        return False
    upright /= strongest
    middle = relief.shape[0] // 2
    level = np.minimum(1.0, relief[middle - 1 : middle + 2].max(axis=0) / strongest)
    lacking = upright[:, None] * level[None, :] - relief / strongest
    reach = edge + glyph.height // 2 + 1
    corners = [
        float(np.clip(lacking[rows, columns], 0.0, None).sum())
        for rows in (slice(0, middle), slice(middle, None))
        for columns in (slice(0, reach), slice(-reach, None))
    ]
    return min(corners) >= 0.02 * glyph.height**2 and sum(corners) >= 0.13 * glyph.height**2


def _gesture_bar(grey: Grey, layer: Layer, unit: int) -> BottomBar | None:
    depth, width = grey.shape
    for glyph in layer.glyphs:
        is_handle = (
            _HANDLE_WIDTH[0] * width <= glyph.width <= _HANDLE_WIDTH[1] * width
            and max(2, _HANDLE_HEIGHT[0] * unit) <= glyph.height <= _HANDLE_HEIGHT[1] * unit
            and glyph.width >= 8 * glyph.height
            and abs(glyph.left + glyph.right - width) <= 0.02 * width
            and 2 <= depth - glyph.bottom <= _HANDLE_FROM_EDGE * unit
            and glyph.ink >= 0.85 * glyph.width * glyph.height
        )
        if not is_handle:
            continue
        empty = empty_rows(grey, (glyph.left - 3, glyph.right + 3))
        if not empty[glyph.top - 1 :].all():
            return None
        below = depth - glyph.bottom
        top = _first_of_run(empty, glyph.top - 1, glyph.top - below)
        return BottomBar(depth - top, "gesture_bar")
    return None


def _navigation_bar(grey: Grey, layer: Layer, unit: int) -> BottomBar | None:
    depth, width = grey.shape
    named = sorted(
        (
            (each.left, _shape(layer, each), each)
            for each in layer.glyphs
            if _BUTTON_HEIGHT[0] * unit <= each.height <= _BUTTON_HEIGHT[1] * unit
            and each.bottom > depth - 0.12 * unit
        ),
        key=lambda each: each[0],
    )
    # Whatever else stands on their rows is seen below, where these have to be empty.
    named = [each for each in named if each[1] != "other"]
    shapes, buttons = [each[1] for each in named], [each[2] for each in named]
    # Back is a triangle, home is round, the overview is square; some makers swap the outer two.
    if shapes not in _BUTTONS or not _evenly_placed(buttons, width):
        return None
    top, bottom = min(each.top for each in buttons), max(each.bottom for each in buttons)
    spans = tuple(edge for each in buttons for edge in (each.left - 3, each.right + 3))
    empty = empty_rows(grey, spans)
    if not empty[top - 1 :].all():
        return None
    start = _first_of_run(empty, top - 1, max(0, top - int(0.06 * unit)))
    medians = np.median(grey[start:top], axis=1)
    changes = np.flatnonzero(np.abs(np.diff(medians)) >= 8)
    if changes.size:
        # A few rows of the band stay: JPEG smears its edge.
        start += int(changes[-1]) + 1 + max(1, round(GRACE * unit))
    # The band is as high above its buttons as below them; where no edge says where it begins, that is a guess.
    slack = 2 if changes.size else max(2, 2 * round(GRACE * unit))
    start = max(start, top - (depth - bottom) + slack)
    return BottomBar(depth - start, "navigation_bar", edge=bool(changes.size))


def _evenly_placed(buttons: list[Glyph], width: int) -> bool:
    left, middle, right = ((each.left + each.right) / 2 for each in buttons)
    heights = [each.height for each in buttons]
    level = max(each.middle for each in buttons) - min(each.middle for each in buttons)
    return (
        abs(middle - width / 2) <= 0.02 * width
        and abs(left + right - width) <= 0.03 * width
        and 0.12 * width <= left <= 0.36 * width
        and max(heights) <= 1.5 * min(heights)
        and level <= 0.25 * max(heights)
    )


def _shape(layer: Layer, glyph: Glyph) -> str:
    """ "round", "square", "triangle" or "other", by how much of its box the filled outline covers (π/4, 1, 1/2)."""
    mask = (layer.labels[glyph.top : glyph.bottom, glyph.left : glyph.right] == glyph.label).astype(
        np.uint8
    )
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(mask)
    cv2.drawContours(filled, contours, -1, 1, -1)
    share = float(filled.mean())
    aspect = glyph.width / glyph.height
    if 0.85 <= aspect <= 1.18 and share >= 0.9:
        return "square"
    if 0.85 <= aspect <= 1.18 and 0.72 <= share <= 0.86:
        return "round"
    if 0.6 <= aspect <= 1.25 and 0.42 <= share <= 0.64:
        return "triangle"
    return "other"


def empty_rows(grey: Grey, spans: tuple[int, ...]) -> NDArray[np.bool_]:
    """For each row whether it is empty outside the columns `spans` (pairs of first and last)."""
    keep = np.ones(grey.shape[1], bool)
    for first, last in zip(spans[::2], spans[1::2], strict=True):
        keep[max(0, first) : last] = False
    rows = grey[:, keep].astype(np.int16)
    differs = np.abs(rows - np.median(rows, axis=1, keepdims=True)) > _EMPTY_STEP
    empty: NDArray[np.bool_] = differs.mean(axis=1) <= _EMPTY_SHARE
    return empty


def _first_of_run(empty: NDArray[np.bool_], start: int, stop: int) -> int:
    """The first row of the run of empty rows that ends at `start`, but not before `stop`."""
    row = start
    while row - 1 >= max(0, stop) and empty[row - 1]:
        row -= 1
    return row
