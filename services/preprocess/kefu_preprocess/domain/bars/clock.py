"""Reading a clock: the one text that nearly every status bar has, and hardly anything else at a picture's edge.

Digits are compared with digits drawn at start-up in the fonts that Pillow and OpenCV bring; the sans-serif digits of
phones are near enough to one of them. A clock is one or two digits, a colon, two digits, and a possible time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from kefu_preprocess.domain.bars.glyphs import Glyph, Grey, Layer
from kefu_preprocess.domain.bars.shapes import Vector, tight, unit

# Mean correlation of a time's digits: letters that pass for digits reach 0.73, the least legible real clock 0.83.
LEAST_LIKENESS = 0.75
_PATCH = (12, 18)  # columns, rows


@dataclass(frozen=True, slots=True)
class Clock:
    """Where a time stands in the strip, and how much its digits look like digits (correlation, 0 to 1)."""

    left: int
    top: int
    right: int
    bottom: int
    likeness: float

    @property
    def height(self) -> int:
        """Height of its digits in pixels."""
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        """Vertical centre."""
        return (self.top + self.bottom) / 2


def find_clocks(layer: Layer, lowest: float, highest: float) -> list[Clock]:
    """Every possible time on a layer whose digits are `lowest` to `highest` pixels tall."""
    glyphs = [each for each in layer.glyphs if each.height <= highest * 1.1]
    digits = sorted(
        (
            each
            for each in glyphs
            if lowest <= each.height <= highest and 0.15 <= each.width / each.height <= 1.0
        ),
        key=lambda each: each.left,
    )
    if len(digits) < 3:
        return []
    clocks = []
    for colon in _colons(glyphs, lowest, highest):
        clock = _around(layer, digits, colon)
        if clock is not None:
            clocks.append(clock)
    return clocks


@dataclass(frozen=True, slots=True)
class _Colon:
    left: int
    right: int
    upper: float
    lower: float


def _colons(glyphs: Sequence[Glyph], lowest: float, highest: float) -> list[_Colon]:
    """Two dots above one another, or the two run together on a small picture."""
    found = []
    dots = sorted(
        (
            each
            for each in glyphs
            if each.height <= 0.36 * highest and each.width <= 0.36 * highest and each.ink >= 2
        ),
        key=lambda each: each.left,
    )
    for index, first in enumerate(dots):
        for second in dots[index + 1 :]:
            if second.left > first.right:
                break
            upper, lower = (first, second) if first.top < second.top else (second, first)
            gap = lower.middle - upper.middle
            size = max(first.height, first.width, second.height, second.width)
            aligned = abs(first.left + first.right - second.left - second.right) / 2
            alike = abs(first.width - second.width) <= 0.4 * size + 1
            if (
                lower.top >= upper.bottom
                and gap <= 0.75 * highest
                and aligned <= 0.5 * size
                and alike
            ):
                found.append(
                    _Colon(
                        min(first.left, second.left),
                        max(first.right, second.right),
                        upper.middle,
                        lower.middle,
                    )
                )
    found.extend(
        _Colon(
            each.left,
            each.right,
            each.top + 0.15 * each.height,
            each.bottom - 0.15 * each.height,
        )
        for each in glyphs
        if 0.4 * lowest <= each.height <= 0.85 * highest
        and each.width <= 0.35 * each.height
        and each.ink <= 0.95 * each.width * each.height + 2
    )
    return found


def _around(layer: Layer, digits: Sequence[Glyph], colon: _Colon) -> Clock | None:
    # Only what stands level with the dots: the line below may begin a pixel nearer.
    digits = [each for each in digits if each.top <= colon.upper and each.bottom >= colon.lower - 1]
    after = [each for each in digits if each.left >= colon.right]
    if len(after) < 2:
        return None
    first = min(after, key=lambda each: each.left)
    height = first.height
    # The dots stand inside the digits' height, the lower one near the base line.
    if not (
        first.top + 0.08 * height <= colon.upper <= first.top + 0.62 * height
        and first.top + 0.6 * height <= colon.lower <= first.bottom + 0.05 * height
    ):
        return None
    minutes = _run(after, colon.right, +1, height, first.top, 2)
    before = [each for each in digits if each.right <= colon.left]
    hours = _run(before, colon.left, -1, height, first.top, 2)
    if len(minutes) != 2 or not hours:
        return None
    # What a place of a time can hold: a digit that cannot stand there is no candidate.
    allowed = ("012", "0123456789") if len(hours) == 2 else ("0123456789",)
    likeness = [
        _likeness(layer, glyph, digits)
        for glyph, digits in zip(
            (*hours, *minutes), (*allowed, "012345", "0123456789"), strict=True
        )
    ]
    parts = (*hours, *minutes)
    return Clock(
        left=parts[0].left,
        top=min(each.top for each in parts),
        right=parts[-1].right,
        bottom=max(each.bottom for each in parts),
        likeness=float(np.mean(likeness)),
    )


def _run(
    digits: Sequence[Glyph], edge: int, direction: int, height: int, top: int, most: int
) -> list[Glyph]:
    """Up to `most` digits of the same height, one after the other from `edge`, in reading order."""
    run: list[Glyph] = []
    ordered = sorted(digits, key=lambda each: each.left * direction)
    for each in ordered:
        distance = each.left - edge if direction > 0 else edge - each.right
        if distance > 0.6 * height or len(run) == most:
            break
        if abs(each.height - height) > 0.14 * height + 1 or abs(each.top - top) > 0.14 * height + 1:
            continue
        run.append(each)
        edge = each.right if direction > 0 else each.left
    return run[::direction]


def _likeness(layer: Layer, glyph: Glyph, allowed: str) -> float:
    """How much a glyph looks like the likeliest of some digits."""
    patch = layer.relief[glyph.top : glyph.bottom, glyph.left : glyph.right]
    likeness = _templates() @ _vector(patch, glyph.width / glyph.height)
    by_digit = likeness.reshape(-1, 10).max(axis=0)
    return float(max(by_digit[int(digit)] for digit in allowed))


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
    vectors = [_drawn(_pillow(digit, weight)) for weight in (0, 1, 2) for digit in "0123456789"]
    for face in (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX):
        for thickness in (3, 6):
            for digit in "0123456789":
                canvas = np.zeros((120, 120), np.uint8)
                cv2.putText(canvas, digit, (20, 90), face, 2.4, 255, thickness, cv2.LINE_AA)
                vectors.append(_drawn(canvas))
    return np.stack(vectors)


def _pillow(digit: str, weight: int) -> Grey:
    picture = Image.new("L", (120, 120))
    ImageDraw.Draw(picture).text(
        (30, 20), digit, 255, ImageFont.load_default(72), stroke_width=weight * 2
    )
    return np.asarray(picture)


def _drawn(canvas: Grey) -> Vector:
    patch = tight(canvas)
    return _vector(patch, patch.shape[1] / patch.shape[0])
