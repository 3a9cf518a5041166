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
_RIBBON_FROM = 0.8


@dataclass(frozen=True, slots=True)
class Boundary:
    """`cut` is the first row that stays, in pixels of the strip; `edge` says that a visible edge is there; `clear` is
    how many empty rows lie between the glyphs and the next content."""

    cut: int
    edge: bool
    clear: int


def find_boundary(strip: Strip, top: int, bottom: int) -> Boundary | None:
    """The end of a bar whose glyphs stand from `top` to `bottom` (exclusive). None where there is no room for a cut."""
    # One row less than the exact mirror image: a row of the bar left over hurts nobody, one of the content does.
    symmetric = top + bottom - 1
    # A taller band than that was never seen: a translucent one under a camera hole is 1.3 times the symmetric one.
    deepest = min(strip.height - 4, max(int(symmetric * 1.4), bottom + (bottom - top)))
    if bottom + 1 >= deepest:
        return None
    rows = strip.grey.astype(np.int16)
    edge = _first_edge(strip.rgb, bottom + 1, deepest)
    # Closer to the glyphs than this there is no content by design, only their own fringe and JPEG's ringing.
    fringe = bottom + max(2, round(_FRINGE * (bottom - top)))
    content = _first_content(rows, fringe, min(strip.height - 1, 2 * deepest))
    overlay = content <= fringe + 3
    clear = 0 if overlay else content - bottom
    if edge is not None and (overlay or edge <= content + 3):
        return Boundary(edge, True, clear)
    if overlay:
        # Something lies under the glyphs themselves (a photo, a map): there is no edge to be kept clear of.
        return Boundary(min(symmetric, deepest), False, 0)
    # Soft content is seen a row or two late.
    content -= 2
    if content > symmetric:
        return Boundary(symmetric, False, clear)
    return Boundary((bottom + content + 1) // 2, False, clear)


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
    end = begin + int(np.append(wide[begin:], False).argmin())
    # A band's edge may be spread over two or three rows: take the steepest.
    strengths = np.abs(np.median(steps[begin:end], axis=1)).max(axis=1)
    return first + begin + int(strengths.argmax())


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
