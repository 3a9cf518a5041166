"""The pictograms of a status bar: battery, Wi-Fi, mobile signal, and the percentage of charge.

They are drawn at start-up in the few shapes that Android and iOS and their flavours share, and compared by correlation:
no shape is taken from a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, partial

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from kefu_preprocess.domain.bars.digits import likeness as digit_likeness
from kefu_preprocess.domain.bars.glyphs import Glyph, Grey, Layer
from kefu_preprocess.domain.bars.shapes import Vector, stretched_vector, tight


class Sign(StrEnum):
    """What a pictogram stands for."""

    BATTERY = "battery"
    WIFI = "wifi"
    SIGNAL = "signal"
    PERCENT = "percent"


@dataclass(frozen=True, slots=True)
class Pictogram:
    """A recognised pictogram: its box in pixels of the strip and how much it looks like one (correlation, 0 to 1)."""

    sign: Sign
    left: int
    top: int
    right: int
    bottom: int
    likeness: float


# Least correlation that counts. Letters and tool bar icons stay below; real pictograms mostly reach 0.9.
_LEAST = {Sign.WIFI: 0.8, Sign.SIGNAL: 0.86, Sign.PERCENT: 0.84}
# Of the digit before a percent sign, and the widest space between them in heights of the row.
_DIGIT, _SPACE = 0.75, 0.45
Box = tuple[int, int, int, int]
# Gaps between the parts of one pictogram (arcs, bars), in heights of the row.
_JOINS = (0.0, 0.13, 0.24)


def find_pictograms(layer: Layer, glyphs: Sequence[Glyph], height: float) -> list[Pictogram]:
    """Pictograms among the glyphs of one row whose digits are `height` pixels tall, from left to right."""
    found: list[Pictogram] = []
    seen: set[Box] = set()
    for join in _JOINS:
        for box in _blobs(glyphs, join * height):
            left, top, right, bottom = box
            tall, wide = bottom - top, right - left
            if box in seen or not 0.5 * height <= tall <= 1.9 * height or wide > 3.0 * tall:
                continue
            seen.add(box)
            best = _recognise(layer.relief[top:bottom, left:right])
            if best is not None and (
                best[0] is not Sign.PERCENT or _after_a_digit(layer, glyphs, box)
            ):
                found.append(Pictogram(best[0], left, top, right, bottom, best[1]))
    for glyph in glyphs:
        likeness = _battery_likeness(layer, glyph, height)
        if likeness > 0:
            found.append(
                Pictogram(Sign.BATTERY, glyph.left, glyph.top, glyph.right, glyph.bottom, likeness)
            )
    return _best_of_each_place(found)


def _after_a_digit(layer: Layer, glyphs: Sequence[Glyph], box: Box) -> bool:
    left, top, _, bottom = box
    tall = bottom - top
    before = [
        each
        for each in glyphs
        if 0 <= left - each.right <= _SPACE * tall
        and abs(each.height - tall) <= 0.25 * tall
        and each.width <= tall
    ]
    return any(
        digit_likeness(layer.relief[each.top : each.bottom, each.left : each.right], "0123456789")
        >= _DIGIT
        for each in before
    )


def _best_of_each_place(found: Sequence[Pictogram]) -> list[Pictogram]:
    kept: list[Pictogram] = []
    for each in sorted(found, key=lambda each: -each.likeness):
        if all(each.right <= other.left or each.left >= other.right for other in kept):
            kept.append(each)
    return sorted(kept, key=lambda each: each.left)


def _battery_likeness(layer: Layer, glyph: Glyph, height: float) -> float:
    """How much a single shape is a battery's case: 0, or 0.8 to 1.

    A case is a full rectangle once its holes are filled, which correlation cannot tell from any dark blob: so it is
    measured. Lying: about twice as long as tall. Standing: about half as wide as tall, with a narrower cap on top.
    """
    tall, wide = glyph.height, glyph.width
    aspect = wide / tall
    lying = 1.55 <= aspect <= 2.9 and 0.6 * height <= tall <= 1.5 * height
    standing = 0.4 <= aspect <= 0.72 and 0.95 * height <= tall <= 1.8 * height
    if not (lying or standing) or tall < 7:
        return 0.0
    mask = (layer.labels[glyph.top : glyph.bottom, glyph.left : glyph.right] == glyph.label).astype(
        np.uint8
    )
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(mask)
    cv2.drawContours(filled, contours, -1, 1, -1)
    # Lists: on a dozen numbers NumPy's means take five times as long, and this is asked of every letter.
    rows = [ink / wide for ink in _row_sums(filled)]
    if lying:
        # The nub may hang on the case: judge the left nine tenths.
        body = filled[:, : max(2, int(wide * 0.9))]
        fill = sum(_row_sums(body)) / body.size
        # Some makers' are round at both ends.
        round_ = tall // 10
        straight = min(rows[1:-1]) >= 0.6 and min(rows[1 + round_ : tall - 1 - round_]) >= 0.8
        return fill if fill >= 0.9 and straight else 0.0
    cap = _mean(rows[: max(1, tall // 12)])
    # An 8 or a 0 is as full, and as narrow on top, but round below as well.
    floor = _mean(rows[-max(1, tall // 14) :])
    body_rows = rows[tall // 5 :]
    fill = _mean(body_rows)
    straight = min(body_rows[:-2]) > 0.8
    return fill if fill >= 0.9 and 0.25 <= cap <= 0.8 and straight and floor >= 0.7 else 0.0


def _row_sums(mask: Grey) -> list[float]:
    sums: list[float] = cv2.reduce(mask, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel().tolist()
    return sums


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _blobs(glyphs: Sequence[Glyph], gap: float) -> Iterator[Box]:
    """Boxes of glyphs that stand within `gap` pixels of one another horizontally."""
    box: Box | None = None
    for each in sorted(glyphs, key=lambda each: each.left):
        if box is not None and each.left <= box[2] + gap:
            box = (
                box[0],
                min(box[1], each.top),
                max(box[2], each.right),
                max(box[3], each.bottom),
            )
            continue
        if box is not None:
            yield box
        box = (each.left, each.top, each.right, each.bottom)
    if box is not None:
        yield box


def _recognise(patch: Grey) -> tuple[Sign, float] | None:
    signs, aspects, vectors = _templates()
    aspect = patch.shape[1] / patch.shape[0]
    near = np.abs(np.log(aspects / aspect)) < 0.3
    if not near.any():
        return None
    likeness = np.where(near, vectors @ stretched_vector(patch), -1.0)
    best = int(likeness.argmax())
    if likeness[best] < _LEAST[signs[best]]:
        return None
    return signs[best], float(likeness[best])


@cache
def _templates() -> tuple[tuple[Sign, ...], NDArray[np.float64], NDArray[np.float32]]:
    signs: list[Sign] = []
    aspects: list[float] = []
    vectors: list[Vector] = []
    for sign, draw in _drawings():
        canvas = np.zeros((160, 240), np.uint8)
        draw(canvas)
        patch = tight(canvas)
        signs.append(sign)
        aspects.append(patch.shape[1] / patch.shape[0])
        vectors.append(stretched_vector(patch))
    return tuple(signs), np.array(aspects), np.stack(vectors)


Draw = Callable[[Grey], None]


def _drawings() -> Iterator[tuple[Sign, Draw]]:
    for half in (38, 45, 52):
        yield Sign.WIFI, partial(_fan, half=half)
        for arcs in (2, 3):
            yield Sign.WIFI, partial(_arcs, half=half, arcs=arcs, solid=True)
            yield Sign.WIFI, partial(_arcs, half=half, arcs=arcs, solid=False)
    for filled in (1.0, 0.6, 0.0):
        yield Sign.SIGNAL, partial(_triangle, filled=filled)
    for bars in (4, 5):
        for thick in (0.5, 0.68):
            yield Sign.SIGNAL, partial(_bars, bars=bars, thick=thick)
    for weight in (0, 1, 2, 4):
        yield Sign.PERCENT, partial(_percent, weight=weight)


def _fan(canvas: Grey, half: int) -> None:
    cv2.ellipse(canvas, (120, 140), (110, 110), 0, 270 - half, 270 + half, 255, -1, cv2.LINE_AA)


def _arcs(canvas: Grey, half: int, arcs: int, *, solid: bool) -> None:
    """Arcs over a wedge (`solid`) or over a dot."""
    step = 110 // arcs
    for ring in range(1, arcs):
        radius = 110 - (ring - 1) * step
        middle = radius - step // 4
        cv2.ellipse(canvas, (120, 140), (middle, middle), 0, 270 - half, 270 + half, 255, step // 2)
    inner = step if solid else step // 2
    if solid:
        cv2.ellipse(canvas, (120, 140), (inner, inner), 0, 270 - half, 270 + half, 255, -1)
    else:
        cv2.circle(canvas, (120, 140 - inner // 2), inner // 2, 255, -1)


def _triangle(canvas: Grey, filled: float) -> None:
    corners = np.array([[40, 140], [140, 40], [140, 140]])
    if filled >= 1.0:
        cv2.fillPoly(canvas, [corners], 255)
        return
    cv2.polylines(canvas, [corners], True, 255, 8)
    cut = 40 + int(100 * filled)
    cv2.fillPoly(canvas, [np.array([[40, 140], [cut, 140 - (cut - 40)], [cut, 140]])], 255)


def _bars(canvas: Grey, bars: int, thick: float) -> None:
    step = 110 // bars
    for bar in range(bars):
        left = 40 + bar * step
        tall = int(80 * (0.32 + 0.68 * bar / (bars - 1)))
        cv2.rectangle(canvas, (left, 140 - tall), (left + int(step * thick), 140), 255, -1)


def _percent(canvas: Grey, weight: int) -> None:
    picture = Image.fromarray(canvas)
    font = ImageFont.load_default(96)
    ImageDraw.Draw(picture).text((60, 20), "%", 255, font=font, stroke_width=weight)
    canvas[:] = np.asarray(picture)
