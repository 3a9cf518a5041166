"""Too little light, and too much of it in one place.

A dark theme is not a dark photo and a white page is no glare: the measures ask whether the pixels come from a camera
before they complain of light.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from kefu_preprocess.domain.quality.views import Grey, Measure, Views, grey

_DIM = 110.0
_WHITE = 250
_WINDOW = np.ones((7, 7), np.uint8)
# Share of the picture that a reflection covers.
_GLARE = (0.004, 0.5)
# How much of a patch, its holes filled, must be white.
_EMPTY = 0.88
# Share of neighbours that are equal, above which a computer drew the picture.
_EVEN = 0.45
# Grey levels: beside a patch at least, by which they fall further out at least, and what is left there at least.
_SOFT, _FALL, _LEFT = 225.0, 8.0, 60.0


def dark(views: Views) -> Measure:
    """The brightest parts, not the mean: white text on black is easy to read. Of a photo, those beside its details:
    a lamp in the picture makes nothing else brighter."""
    value = float(np.percentile(views.small, 99.5))
    if value >= _DIM and not views.drawn and min(views.small.shape) >= 32:
        value = min(value, _light_beside_details(views.small))
    return ((_DIM - value) / 80, value) if value < _DIM else None


def _light_beside_details(small: Grey) -> float:
    coarse = np.ascontiguousarray(small[::2, ::2])
    highest = np.asarray(cv2.dilate(coarse, _WINDOW))[::2, ::2]
    lowest = np.asarray(cv2.erode(coarse, _WINDOW))[::2, ::2]
    detailed = highest[(highest - lowest) > np.maximum(20, highest // 3)]
    return float(np.percentile(detailed, 75)) if detailed.size > 0.02 * highest.size else 255.0


def glare(views: Views) -> Measure:
    """Washed-out patches, empty inside, that fade into something with details: a white sheet ends sharply, and the
    overexposed part of a sheet still has its letters."""
    if min(views.small.shape) < 32:
        return None
    white = (views.small >= _WHITE).astype(np.uint8)
    if cv2.countNonZero(white) < _GLARE[0] * white.size or _drawn_where_not_white(views):
        return None
    _, labels, stats, _ = cv2.connectedComponentsWithStats(white, connectivity=8, ltype=cv2.CV_16U)
    share = 0.0
    for label in (1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")[:3]).tolist():
        area = int(stats[label, cv2.CC_STAT_AREA])
        if area < _GLARE[0] * white.size:
            break
        if _sides(views.small, stats[label]) <= 2 and _fades(
            views.small, np.asarray(labels), label, stats[label]
        ):
            share += area / white.size
    return (0.3 + 2 * share, share) if 0 < share <= _GLARE[1] else None


def _drawn_where_not_white(views: Views) -> bool:
    """Whether a computer drew most of it, photos in it apart; what is washed out is even in any picture."""
    rows = grey(np.ascontiguousarray(views.pixels[:: max(1, views.rows // 48)]))
    left, right = rows[:, :-1], rows[:, 1:]
    shaded = left < _WHITE
    equal = int(np.count_nonzero((left == right) & shaded))
    return equal > _EVEN * max(1, int(np.count_nonzero(shaded)))


def _sides(small: Grey, box: np.ndarray) -> int:
    """How many sides of the picture it touches: what touches three is the ground."""
    left, top, wide, tall, _ = (int(each) for each in box)
    rows, columns = small.shape
    return sum((left == 0, top == 0, left + wide == columns, top + tall == rows))


def _fades(small: Grey, labels: Grey, label: int, box: np.ndarray) -> bool:
    left, top, wide, tall, area = (int(each) for each in box)
    reach = int(np.clip(0.35 * np.sqrt(area / np.pi), 4, 24))
    rows = slice(max(0, top - 2 * reach), top + tall + 2 * reach)
    columns = slice(max(0, left - 2 * reach), left + wide + 2 * reach)
    patch = (labels[rows, columns] == label).astype(np.uint8)
    near = small[rows, columns]
    closed = np.asarray(
        cv2.morphologyEx(patch, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)), np.uint8
    )
    if area < _EMPTY * cv2.countNonZero(closed):
        return False
    # From the patch outwards, in rings: what letters leave of the light there.
    rings = [closed, *(_wider(closed, width) for width in (1, 5, reach // 2 + 4, reach + 6))]
    levels = [
        float(np.percentile(near[(outer > 0) & (inner == 0)], 70))
        for inner, outer in pairwise(rings[1:])
        if np.any((outer > 0) & (inner == 0))
    ]
    if len(levels) < 3:
        return False
    return levels[0] >= _SOFT and levels[0] - levels[2] >= _FALL and levels[2] >= _LEFT


def _wider(patch: Grey, by: int) -> Grey:
    return np.asarray(cv2.dilate(patch, np.ones((2 * by + 1, 2 * by + 1), np.uint8)), np.uint8)
