"""A phone's screen inside the picture: a screenshot in a chat bubble, in a gallery's viewer, in a drawn phone.

Many things are upright rectangles with straight sides. A screen is one whose own top row is a status bar, read by the
same rules as that of a whole screenshot; so a card, a photo or a window is none.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from kefu_preprocess.domain.bars.status import CERTAIN, find_status_bar
from kefu_preprocess.domain.bars.strip import top_strip
from kefu_preprocess.domain.decode import Pixels
from kefu_preprocess.domain.values import Box

# Grey levels by which a side steps from one pixel of the small copy to the next.
_STEP = 10
# Least length of a side over the picture's height, and least width of a screen over the picture's width.
_LONG, _WIDE = 0.22, 0.18
# Height over width: a tablet's 4:3 to the longest phone, which a viewer's bars may shorten.
_ASPECT = (1.2, 2.45)
# How much of the top edge must be seen, and how many rows of the small copy it may lie off the sides' ends: corners are
# round.
_TOP_SHARE, _CORNER = 0.6, 14
# A viewer's bands above and below: their share of the height, of the width that steps at their edges, of their pixels
# that have their colour, and how far from the middle the picture between them may lie.
_BAND, _BAND_EDGE, _EVEN, _OFF_CENTRE = (0.03, 0.35), 0.85, 0.8, 0.08
# Side of the small copy below which it shows no screen.
_SMALLEST = 64
# Of a side with gaps, the least share that steps.
_BRIDGED = 0.9
_MOST_SIDES, _MOST_TRIED = 12, 4


def find_inner_screen(pixels: Pixels, small: NDArray[np.uint8]) -> Box | None:
    """The largest screen inside an RGB picture, in its pixels; `small` is a grey copy of the whole."""
    rows, columns = pixels.shape[:2]
    if min(small.shape) < _SMALLEST:
        return None
    across, down = columns / small.shape[1], rows / small.shape[0]
    candidates = sorted([*_rectangles(small), *_between_bands(small)], key=_area, reverse=True)
    for left, top, right, bottom in candidates[:_MOST_TRIED]:
        box = _exact(
            pixels,
            Box(
                round(left * across), round(top * down), round(right * across), round(bottom * down)
            ),
            max(2, round(across) + 1),
        )
        strip = top_strip(pixels[box.top : box.bottom, box.left : box.right])
        bar = None if strip is None else find_status_bar(strip)
        if bar is not None and bar.confidence >= CERTAIN:
            return box
    return None


Rectangle = tuple[int, int, int, int]


def _area(each: Rectangle) -> int:
    return (each[2] - each[0]) * (each[3] - each[1])


def _rectangles(small: NDArray[np.uint8]) -> Iterator[Rectangle]:
    """Left, top, right, bottom of upright rectangles with two straight sides and a top, in pixels of the small copy."""
    rows, columns = small.shape
    sides = _sides(np.asarray(cv2.absdiff(small[:, 1:], small[:, :-1])) >= _STEP, int(_LONG * rows))
    if len(sides) < 2:
        return
    tops = np.asarray(cv2.absdiff(small[1:], small[:-1])) >= _STEP
    for index, (left, first, last) in enumerate(sides):
        for right, other_first, other_last in sides[index + 1 :]:
            top, bottom = max(first, other_first), min(last, other_last)
            if right - left < _WIDE * columns or bottom - top < _LONG * rows:
                continue
            if not _ASPECT[0] <= (bottom - top) / (right - left) <= _ASPECT[1]:
                continue
            from_row = max(0, min(first, other_first) - _CORNER)
            shares = tops[from_row : top + 3, left + 1 : right].mean(axis=1)
            if shares.size and float(shares.max()) >= _TOP_SHARE:
                yield left + 1, from_row + int(shares.argmax()) + 1, right + 1, bottom + 1


def _between_bands(small: NDArray[np.uint8]) -> Iterator[Rectangle]:
    """What fills the whole width between two even bands of one colour: a viewer has no other sides."""
    rows, columns = small.shape
    steps = np.asarray(cv2.absdiff(small[1:], small[:-1])) >= _STEP
    edges = np.flatnonzero(
        cv2.reduce(steps.view(np.uint8), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()
        >= _BAND_EDGE * columns
    )
    least, most = _BAND[0] * rows, _BAND[1] * rows
    tops = edges[(edges >= least) & (edges <= most)]
    bottoms = edges[(rows - edges >= least) & (rows - edges <= most)]
    if not tops.size or not bottoms.size:
        return
    top, bottom = int(tops[0]) + 1, int(bottoms[-1]) + 1
    above, below = float(np.median(small[:top])), float(np.median(small[bottom:]))
    if abs(above - below) > _STEP or abs(top - (rows - bottom)) > _OFF_CENTRE * rows:
        return
    if not _ASPECT[0] <= (bottom - top) / columns <= _ASPECT[1]:
        return
    # A viewer has a few signs on its bands, no more.
    if all(
        float((np.abs(band.astype(np.int16) - level) < _STEP).mean()) >= _EVEN
        for band, level in ((small[:top], above), (small[bottom:], below))
    ):
        yield 0, top, columns, bottom


def _sides(steps: NDArray[np.bool_], least: int) -> list[tuple[int, int, int]]:
    """(column, first row, last row) of the longest upright edges, from left to right. A gap of two rows is bridged."""
    counts = cv2.reduce(steps.view(np.uint8), 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
    if np.count_nonzero(counts >= _BRIDGED * least) < 2:
        return []
    # Few columns have so long a run; the rest is not looked at.
    bridged = cv2.morphologyEx(steps.view(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 1), np.uint8))
    runs = cv2.erode(bridged, np.ones((least + 1, 1), np.uint8), borderValue=0)
    found: list[tuple[int, int, int]] = []
    for column in np.flatnonzero(cv2.reduce(runs, 0, cv2.REDUCE_MAX)).tolist():
        rows = np.flatnonzero(steps[:, column])
        ends = np.flatnonzero(np.diff(rows) > 3)
        firsts = rows[np.concatenate(([0], ends + 1))]
        lasts = rows[np.concatenate((ends, [rows.size - 1]))]
        longest = int((lasts - firsts).argmax())
        first, last = int(firsts[longest]), int(lasts[longest])
        if last - first >= least:
            found.append((column, first, last))
    kept: list[tuple[int, int, int]] = []
    for each in sorted(found, key=lambda each: each[1] - each[2]):
        # A side may be two or three columns wide: the longest of them stands for it.
        if all(abs(each[0] - other[0]) > 2 for other in kept):
            kept.append(each)
        if len(kept) == _MOST_SIDES:
            break
    return sorted(kept)


def _exact(pixels: Pixels, box: Box, reach: int) -> Box:
    """The box with its left, top and right at the steepest step near where the small copy showed them."""
    rows, columns = pixels.shape[:2]
    middle = slice(box.top + (box.bottom - box.top) // 4, box.bottom - (box.bottom - box.top) // 4)

    def steepest(band: Pixels, axis: int) -> int:
        profile = np.abs(np.diff(band.astype(np.int16), axis=axis)).max(axis=2)
        return int(np.median(profile, axis=1 - axis).argmax()) + 1

    left0, right0 = max(0, box.left - reach), max(0, box.right - reach)
    top0 = max(0, box.top - reach)
    left = left0 + steepest(pixels[middle, left0 : box.left + reach + 1], 1)
    right = right0 + steepest(pixels[middle, right0 : min(columns, box.right + reach + 1)], 1)
    quarter = (box.right - box.left) // 4
    top = top0 + steepest(
        pixels[top0 : min(rows, box.top + reach + 1), box.left + quarter : box.right - quarter], 0
    )
    return Box(left, top, max(left + 1, right), box.bottom)
