"""Blur: how wide the edges are, in all directions and along the camera's movement.

After Marziliano et al., "A no-reference perceptual blur metric", ICIP 2002: an edge's width is the local contrast over
the steepest slope in it. A blur of sigma pixels makes a step 2.5 sigma wide. Grain adds to both parts alike, so that a
noisy picture does not pass for a sharp one.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]

# Pixels. Text is read well up to a blur of sigma 1.5, where its edges are 2.9 wide; at sigma 2 they are 3.7.
WIDE = 3.5
# Pixels, along the direction in which edges are widest. See docs/pictures.md.
SMEARED = 3.6
# Where the sharper edges of all directions together are narrower than that, nothing was moved: strokes along a
# movement stay sharp, but few are exactly along it.
STEADY = 1.6

_WINDOW = 17
_CONTRAST = 36
# Of edges in one direction: only strokes across it count, not the ends of those along it.
_CONTRAST_ALONG = 48
_LEAST_SEEN = 0.002
# Side of the part on which a movement is measured, pixels.
_PART = 384
# Wider than in the narrowest direction by that factor at least: a lens blurs all directions alike.
_DIRECTED = 1.35


def edge_width(grey: Grey) -> float | None:
    """Width in pixels of the sharper edges (the best fifth), or None where nothing has contrast."""
    if min(grey.shape) < _WINDOW:
        return None
    window = np.ones((_WINDOW, _WINDOW), np.uint8)
    step = np.ones((1, 2), np.uint8)
    # Bytes, and every fourth of every fourth row, as long as it can be: floats of the whole take twice the time.
    lowest = np.asarray(cv2.erode(grey, window))[::4, ::4].astype(np.float32)
    contrast = np.asarray(cv2.dilate(grey, window))[::4, ::4] - lowest
    seen = contrast >= _CONTRAST
    if float(seen.mean()) < _LEAST_SEEN:
        return None
    slopes = cv2.max(
        cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, step),
        cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, step.T),
    )
    steepest = np.asarray(cv2.dilate(slopes, window))[::4, ::4].astype(np.float32)
    widths = contrast[seen] / np.maximum(1.0, steepest[seen])
    return float(np.quantile(widths, 0.2))


def smear_width(grey: Grey) -> float | None:
    """Width in pixels of the sharper edges across the direction in which they are widest; None without contrast, or
    where they are hardly wider than in the other directions.

    A camera that moved leaves every stroke sharp that runs along its way: over all directions together some edges are
    always sharp. So the width is measured along rows, columns and both diagonals, each by itself.
    """
    # A movement smears everything alike: a part of the piece will do.
    rows, columns = (max(0, (length - _PART) // 2) for length in grey.shape)
    grey = np.ascontiguousarray(grey[rows : rows + _PART, columns : columns + _PART])
    if min(grey.shape) < _WINDOW:
        return None
    across = np.ascontiguousarray(grey.T)
    found = [
        width
        for view, taps, step in (
            # Three pixels' mean across the direction takes grain away and no edge.
            (cv2.blur(grey, (3, 1)), _WINDOW, 1.0),
            (cv2.blur(across, (3, 1)), _WINDOW, 1.0),
            (_diagonals(grey), round(_WINDOW / np.sqrt(2)), float(np.sqrt(2))),
            (_diagonals(np.asarray(cv2.flip(grey, 1), np.uint8)), 12, float(np.sqrt(2))),
        )
        if (width := _width_down(np.asarray(view, np.uint8), taps, step)) is not None
    ]
    return max(found) if found and max(found) >= _DIRECTED * min(found) else None


def _diagonals(grey: Grey) -> Grey:
    """A view whose columns are the picture's diagonals: rows that are one pixel longer than they are."""
    wide = grey.shape[1] + 1
    rows = grey.size // wide
    return np.ascontiguousarray(grey).ravel()[: rows * wide].reshape(rows, wide)


def _width_down(view: Grey, taps: int, step: float) -> float | None:
    """Width of the sharper fifth of the edges that are crossed from row to row; rows are `step` pixels apart."""
    some = np.ascontiguousarray(view[:, ::4])
    column = np.ones((taps, 1), np.uint8)
    slopes = np.asarray(cv2.dilate(cv2.absdiff(some[1:], some[:-1]), column))[::4]
    rows = slopes.shape[0]
    highest, lowest = cv2.dilate(some, column)[::4][:rows], cv2.erode(some, column)[::4][:rows]
    contrast = np.asarray(cv2.subtract(highest, lowest))
    seen = contrast >= _CONTRAST_ALONG
    if float(seen.mean()) < _LEAST_SEEN:
        return None
    widths = contrast[seen].astype(np.float32) / np.maximum(1, slopes[seen])
    return float(np.quantile(widths, 0.2)) * step
