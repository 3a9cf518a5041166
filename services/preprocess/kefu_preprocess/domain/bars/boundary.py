"""Where a bar ends: the edge of its band if it has one, else as far below its glyphs as they are from the top."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from kefu_preprocess.domain.bars.strip import Strip
from kefu_preprocess.domain.decode import Pixels

# An edge of a band: this much of the row steps by at least this many levels, all to the same side.
_EDGE_SHARE, _EDGE_STEP = 0.72, 3
# Content: this much of the row differs by at least this many levels from the row a little above.
_CONTENT_SHARE, _CONTENT_STEP = 0.004, 22
_FRINGE = 0.3
# Steps along a row that is still empty, and along one of text, over its columns.
_SPECKS, _TEXT = 0.0015, 0.01
_RIBBON_FROM = 0.8
# A seam between two lively pictures: this much of the row steps by so many levels, to any side, and so many times more
# than in the usual row around it.
_SEAM_SHARE, _SEAM_STEP, _SEAM_TIMES = 0.3, 10, 4.0
# What is left standing above an edge, over the device's shorter side: JPEG smears an edge over a row or two, and a row
# of the bar that stays hurts nobody, while one of the content is lost.
GRACE = 0.0025
# How far from the glyphs to the symmetric end a bar without an edge is cut: where it ends is a guess, and content may
# begin sooner than its designer's padding; less far where something is seen between them.
_TRUSTED, _OVERLAID = 0.7, 0.4


@dataclass(frozen=True, slots=True)
class Boundary:
    """`cut` is the first row that stays, in pixels of the strip; `edge` says that a visible edge is there; `clear` is
    how many empty rows lie between the glyphs and the next content."""

    cut: int
    edge: bool
    clear: int


def find_boundary(
    strip: Strip, glyphs: tuple[int, int], hole: tuple[int, int] | None
) -> Boundary | None:
    """The end of a bar. `glyphs` are the first and last (exclusive) row of its glyphs, `hole` those of a camera's
    cutout between them. None where there is no room for a cut."""
    top, bottom = glyphs if hole is None else (min(glyphs[0], hole[0]), max(glyphs[1], hole[1]))
    symmetric = top + bottom - 1
    grace = max(strip.scale, round(GRACE * strip.unit))
    # No cut above this: a whole row of the original below the glyphs, whose lowest row may be hardly visible.
    least = bottom + 2 * strip.scale
    # A taller band than that was never seen: a translucent one under a camera hole is 1.3 times the symmetric one.
    deepest = min(strip.height - 4, max(int(symmetric * 1.4), bottom + (bottom - top)))
    if bottom + 1 >= deepest:
        return None
    rows = strip.grey.astype(np.int16)
    edge = _first_edge(strip.rgb, bottom + 1, deepest)
    # Closer to the glyphs than this there is no content by design, only their own fringe and JPEG's ringing. A cutout,
    # three times as tall, has no more of a fringe than they have.
    least_fringe = max(2, round(_FRINGE * (glyphs[1] - glyphs[0])))
    fringe = max(glyphs[1] + least_fringe, bottom + 2)
    content = _first_content(rows, fringe, min(strip.height - 1, 2 * deepest))
    overlay = content <= fringe + 3
    clear = 0 if overlay else content - bottom
    if edge is not None and (overlay or edge <= content + 3):
        return Boundary(min(edge, max(least, edge - grace)), True, clear)
    if overlay:
        gap = _gap_below(rows, bottom, fringe + 3)
        if gap is not None:
            return Boundary(min(gap[1], max(least, (gap[0] + gap[1] + 1) // 2)), False, 0)
        # Something lies under the glyphs themselves: a photo, a map, or an app's own text that nearly touches them.
        # Where it begins cannot be seen, unless a seam goes through all of it.
        end = _part_of_way(least, symmetric, _OVERLAID)
        seam = _first_seam(rows, bottom + 1, end + grace + 1)
        return Boundary(end if seam is None else min(seam, max(least, seam - grace)), False, 0)
    # Soft content is seen a row or two late.
    content -= 2
    if content > symmetric:
        return Boundary(_part_of_way(least, symmetric, _TRUSTED), False, clear)
    return Boundary((bottom + content + 1) // 2, False, clear)


def _gap_below(rows: NDArray[np.int16], first: int, last: int) -> tuple[int, int] | None:
    """The empty rows between a bar's glyphs and an app's own text that nearly touches them: the first of them and the
    first row of that text. None where no row is empty, as over a photo or a map, or no text follows: the rest of a
    camera's cutout has two edges on a row."""
    steps = (np.abs(np.diff(rows[first:last], axis=1)) >= _CONTENT_STEP).mean(axis=1)
    busy = steps >= _SPECKS
    if busy.all():
        return None
    empty = int(busy.argmin())
    if not busy[empty:].any():
        return None
    text = empty + int(busy[empty:].argmax())
    return (first + empty, first + text) if steps[text : text + 3].max() >= _TEXT else None


def _part_of_way(least: int, symmetric: int, share: float) -> int:
    return least + max(0, round(share * (symmetric - least)))


def _first_edge(rgb: Pixels, first: int, last: int) -> int | None:
    """The first row of another band: nearly the whole width steps up, or down, in one of the colours, and stays there
    (a thin line between two rows of the same band is no edge)."""
    # Every third column tells as much of an edge across the whole width.
    rows = rgb[first - 2 : last + 4, ::3].astype(np.int16)
    steps = rows[2:-3] - rows[1:-4]
    stays = rows[5:] - rows[:-5]
    share = np.maximum(
        row_shares((steps >= _EDGE_STEP) & (stays >= _EDGE_STEP)),
        row_shares((steps <= -_EDGE_STEP) & (stays <= -_EDGE_STEP)),
    )
    wide = share >= _EDGE_SHARE
    if not wide.any():
        return None
    begin = int(wide.argmax())
    # A band's edge may be spread over two or three rows: where it begins, content may begin.
    return first + begin


def _first_seam(rows: NDArray[np.int16], first: int, last: int) -> int | None:
    """The first row of another picture, where one is pasted below another: nearly every column steps, each to its own
    side, which no edge of one colour does."""
    share = (np.abs(rows[first:last] - rows[first - 1 : last - 1]) >= _SEAM_STEP).mean(axis=1)
    usual = float(np.median(share))
    found = (share >= _SEAM_SHARE) & (share >= _SEAM_TIMES * usual)
    return first + int(found.argmax()) if found.any() else None


def row_shares(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of each row of (rows, columns, colours), the share of columns in the colour that has most of them."""
    # NumPy's mean over the middle axis takes ten times as long.
    sums = np.asarray(cv2.reduce(mask.view(np.uint8), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S))
    most: NDArray[np.float64] = sums.reshape(mask.shape[0], -1).max(axis=1) / mask.shape[1]
    return most


def _first_content(rows: NDArray[np.int16], first: int, last: int) -> int:
    """The first row on which something begins. What stands at the right side from the start (a developer's ribbon runs
    down there) is not counted."""
    if last <= first + 2:
        return last
    differs = np.abs(rows[first + 2 : last] - rows[first : last - 2]) >= _CONTENT_STEP
    ribbon = int(_RIBBON_FROM * rows.shape[1])
    found = differs[:, :ribbon].mean(axis=1) >= _CONTENT_SHARE
    right = differs[:, ribbon:].mean(axis=1) >= _CONTENT_SHARE
    if not right[:2].any():
        found |= right
    return first + 2 + int(found.argmax()) if found.any() else last
