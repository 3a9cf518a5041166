"""Comparing a small shape with the ten digits, drawn at start-up: in the fonts that Pillow and OpenCV bring, and from
strokes, for the humanist fonts whose 3, 5, 6 and 9 stay open and whose 1 may have a foot."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from kefu_preprocess.domain.bars.glyphs import Grey
from kefu_preprocess.domain.bars.shapes import Vector, tight, unit

_PATCH = (12, 18)  # columns, rows
_DIGITS = "0123456789"


# A shape that is so much more like a digit that cannot stand there is that digit.
_CLEARLY = 0.1


def likeness(patch: Grey, allowed: str) -> float:
    """How much a patch of relief, cut close around a shape, looks like the likeliest of some digits (correlation), less
    twice what another digit is clearly likelier: 33:10 is not 23:10."""
    vector = _vector(patch, patch.shape[1] / patch.shape[0])
    by_digit = (_templates() @ vector).reshape(-1, 10).max(axis=0)
    best = max(by_digit[int(digit)] for digit in allowed)
    return float(best - 2 * max(0.0, by_digit.max() - best - _CLEARLY))


def _vector(patch: Grey, aspect: float) -> Vector:
    """A patch as a unit vector. A narrow one (a 1) keeps its proportions: stretched, a bar looks like anything."""
    columns, rows = _PATCH
    inner = max(2, min(columns, round(columns * aspect / 0.66)))
    small = np.zeros((rows, columns), np.float32)
    left = (columns - inner) // 2
    small[:, left : left + inner] = cv2.resize(
        patch.astype(np.float32), (inner, rows), interpolation=cv2.INTER_AREA
    )
    return unit(small)


@cache
def _templates() -> NDArray[np.float32]:
    """Rows: fonts × digits, in that order; the digit is the row's number modulo ten."""
    return np.stack([_drawn(canvas) for canvas in _canvases()])


def _canvases() -> Iterator[Grey]:
    for weight in (0, 1, 2):
        for digit in _DIGITS:
            yield _pillow(digit, weight)
    for face in (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX):
        for thickness in (3, 6):
            for digit in _DIGITS:
                canvas = np.zeros((120, 120), np.uint8)
                cv2.putText(canvas, digit, (20, 90), face, 2.4, 255, thickness, cv2.LINE_AA)
                yield canvas
    for thickness in (8, 13):
        for digit in _DIGITS:
            yield _stroked(digit, thickness)


def _pillow(digit: str, weight: int) -> Grey:
    picture = Image.new("L", (120, 120))
    ImageDraw.Draw(picture).text(
        (30, 20), digit, 255, ImageFont.load_default(72), stroke_width=weight * 2
    )
    return np.asarray(picture)


# Strokes in a box of 56 × 80: arcs (centre, half axes, from and to in degrees, clockwise from the right) and polylines.
_Arc = tuple[int, int, int, int, int, int]
_Line = tuple[tuple[int, int], ...]
_STROKES: dict[str, tuple[tuple[_Arc, ...], tuple[_Line, ...]]] = {
    "0": (((28, 40, 26, 40, 0, 360),), ()),
    "1": ((), (((12, 14), (30, 0), (30, 80)), ((8, 80), (52, 80)))),
    "2": (((27, 22, 22, 22, -160, 35),), (((45, 35), (2, 80), (54, 80)),)),
    "3": (((24, 20, 23, 20, -125, 90), (22, 60, 30, 20, -90, 115)), (((12, 40), (24, 40)),)),
    "4": ((), (((44, 80), (44, 0), (0, 58), (56, 58)),)),
    "5": (((22, 55, 29, 25, -115, 120),), (((48, 0), (8, 0), (6, 34)),)),
    "6": (((28, 55, 25, 25, 0, 360), (52, 52, 50, 52, 180, 272)), ()),
    "7": ((), (((0, 0), (54, 0), (18, 80)),)),
    "8": (((28, 20, 22, 20, 0, 360), (28, 60, 27, 20, 0, 360)), ()),
    "9": (((28, 25, 25, 25, 0, 360), (4, 28, 50, 52, 0, 92)), ()),
}  # fmt: skip


def _stroked(digit: str, thickness: int) -> Grey:
    canvas = np.zeros((120, 120), np.uint8)
    arcs, lines = _STROKES[digit]
    for x, y, across, down, start, end in arcs:
        cv2.ellipse(
            canvas, (30 + x, 20 + y), (across, down), 0, start, end, 255, thickness, cv2.LINE_AA
        )
    for line in lines:
        corners = np.array([(30 + x, 20 + y) for x, y in line], np.int32)
        cv2.polylines(canvas, [corners], False, 255, thickness, cv2.LINE_AA)
    return canvas


def _drawn(canvas: Grey) -> Vector:
    patch = tight(canvas)
    return _vector(patch, patch.shape[1] / patch.shape[0])
