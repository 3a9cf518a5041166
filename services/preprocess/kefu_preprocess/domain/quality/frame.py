"""What is missing of a picture: pixels, or a part of the page."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from kefu_preprocess.domain.decode import Pixels
from kefu_preprocess.domain.quality.views import Grey, Measure, Views, grey

_LEAST_SIDE = 320
# Height of letters, in pixels, that can be read; fewer shapes than that are no text.
_LEGIBLE, _FEW_LETTERS = 12.0, 20


def too_small(views: Views) -> Measure:
    """A thumbnail: its sides are short and its letters small. A cutting with large letters is none."""
    value = float(min(views.rows, views.columns))
    if value >= _LEAST_SIDE or _letter_height(views.piece) >= _LEGIBLE:
        return None
    return (_LEAST_SIDE - value) / 240, value


def _letter_height(piece: Grey) -> float:
    """Pixels, of the larger letters; 0 where there are few."""
    heights = max((_heights(each) for each in (piece, 255 - piece)), key=len)
    return float(np.percentile(heights, 60)) if len(heights) >= _FEW_LETTERS else 0.0


def _heights(light: Grey) -> NDArray[np.int32]:
    """Of dark shapes with a letter's proportions."""
    ink = cv2.adaptiveThreshold(light, 1, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, 31, 16)
    _, _, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    wide, tall = stats[1:, cv2.CC_STAT_WIDTH], stats[1:, cv2.CC_STAT_HEIGHT]
    return np.asarray(tall[(tall >= 3) & (tall <= 60) & (wide <= 2.5 * tall) & (wide >= tall / 5)])


# Grey levels by which a letter differs from what is behind it, and below which nothing is there.
_INK, _QUIET = 36, 14
# How much more ink there must be than what is neither ink nor ground.
_CLEAR = 1.5
# By which the ground itself may differ: a photo's light is uneven, and dense letters pass for ground.
_UNEVEN = 110
# Lines of text across a side, or strokes of letters along it, below which nothing is said.
_LINES, _STROKES = 5, 12
# How much of the picture, from the border inwards, is looked at.
_DEPTH = 0.06


def cut_off(views: Views) -> Measure:
    """How many lines of text end at the left or right border, or strokes of letters at the upper or lower one.

    The lower border of a drawn picture is not asked: screens scroll, and most long lists end within a line.
    """
    if min(views.rows, views.columns) < 200:
        return None
    sides = [
        _lines_cut(views.pixels, np.s_[:]),
        _lines_cut(views.pixels, np.s_[::-1]),
        _letters_cut(views.pixels, np.s_[:]),
    ]
    if not views.drawn:
        sides.append(_letters_cut(views.pixels, np.s_[::-1]))
    worst = max(sides)
    return (0.2 + worst / 40, float(worst)) if worst else None


def _lines_cut(pixels: Pixels, order: slice) -> int:
    """Lines of text that the left border (the right one in reversed order) cuts through: text beside each, and nothing
    beside the gaps between them."""
    rows, columns = pixels.shape[:2]
    border = grey(np.ascontiguousarray(pixels[:, order][:, : max(2, rows // 1000)]))
    ink = _ink(np.asarray(cv2.reduce(border, 1, cv2.REDUCE_AVG), np.uint8).ravel(), 2 * _LINES)
    if ink is None:
        return 0
    starts, ends = _runs(ink)
    lengths = ends - starts
    lines = (lengths >= 3) & (lengths <= rows // 25)
    if int(lines.sum()) < _LINES:
        return 0
    band = grey(np.ascontiguousarray(pixels[:, order][:, : max(16, int(_DEPTH * columns))]))
    steps = cv2.morphologyEx(band, cv2.MORPH_GRADIENT, np.ones((1, 5), np.uint8)) >= _INK
    busy = np.count_nonzero(steps, axis=1) >= 4
    beside = np.array(
        [busy[start:end].mean() > 0.5 for start, end in zip(starts, ends, strict=True)]
    )
    lines &= beside
    count = int(lines.sum())
    if count < _LINES or float(busy.mean()) >= 0.6:
        return 0
    # A row of pictures that goes on to the side, or a film, ends there as well, but in one place.
    return count if int(ends[lines][-1] - starts[lines][0]) >= rows // 3 else 0


def _letters_cut(pixels: Pixels, order: slice) -> int:
    """Strokes of a line of text that the upper border (the lower one in reversed order) cuts through: below the line it
    is empty again."""
    rows, columns = pixels.shape[:2]
    border = max(2, columns // 1000)
    first = grey(np.ascontiguousarray(pixels[order][:border]))
    ink = _ink(np.asarray(cv2.reduce(first, 0, cv2.REDUCE_AVG), np.uint8).ravel(), 2 * _STROKES)
    if ink is None:
        return 0
    starts, ends = _runs(ink)
    count = int((ends - starts <= max(8, columns // 60)).sum())
    if count < _STROKES:
        return 0
    band = grey(np.ascontiguousarray(pixels[order][: max(16, int(_DEPTH * rows))]))
    steps = np.count_nonzero(cv2.absdiff(band[:, 1:], band[:, :-1]) >= _INK, axis=1)
    return count if float(steps[border:].min()) <= 0.06 * float(steps[:border].mean()) else 0


def _ink(profile: Grey, least: int) -> NDArray[np.bool_] | None:
    """Where letters are along a border, or None where it is not text: ink on an even ground, with little between the
    two. A photo's border has all of it. Fewer than `least` steps are not looked at."""
    light = profile.astype(np.int16)
    # A letter's edge may take three pixels.
    if np.count_nonzero(np.abs(light[3:] - light[:-3]) >= _INK) < least:
        return None
    window = max(31, profile.size // 12)
    starts = np.arange(0, profile.size - window + 1, window // 4)
    ground = np.median(sliding_window_view(light, window)[starts], axis=1)
    differs = np.abs(light - np.interp(np.arange(profile.size), starts + window / 2, ground))
    ink = differs >= _INK
    # A letter's own edges are neither ink nor ground.
    beside = cv2.dilate(ink.view(np.uint8)[:, None], np.ones((5, 1), np.uint8))[:, 0] > 0
    inked, between = float(ink.mean()), float(((differs >= _QUIET) & ~beside).mean())
    if inked < 0.02 or inked < _CLEAR * between or float((differs < _QUIET).mean()) < 0.4:
        return None
    low, high = np.percentile(ground, (20, 80))
    return ink if float(high - low) <= _UNEVEN else None


def _runs(ink: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last index (exclusive) of each run."""
    ends = np.flatnonzero(np.diff(np.concatenate(([False], ink, [False])).astype(np.int8)))
    return ends[::2], ends[1::2]
