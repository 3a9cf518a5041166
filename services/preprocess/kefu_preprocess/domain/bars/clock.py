"""Reading a clock: the one text that nearly every status bar has, and hardly anything else at a picture's edge.

Digits are compared with digits drawn at start-up in the fonts that Pillow and OpenCV bring; the sans-serif digits of
phones are near enough to one of them. A clock is one or two digits, a colon, two digits, and a possible time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kefu_preprocess.domain.bars.digits import likeness
from kefu_preprocess.domain.bars.glyphs import Glyph, Layer

# Mean correlation of a time's digits: letters that pass for digits reach 0.79, of 1,000 words in 20 fonts; the least
# legible real clock has 0.83.
LEAST_LIKENESS = 0.76
_ANY = "0123456789"
# Likeness below which a glyph beside a digit is something else, and places at which two that touch are parted.
_NO_DIGIT, _CUTS = 0.6, 3
# Mean likeness of a number below which nothing beside it can make it a time, and from which no other reading is tried.
_HOPELESS, _LEGIBLE = 0.5, 0.85
# Between the letters of a word there is less than this, in heights of a digit.
_LETTER_GAP = 0.22
# Width over height: of a digit, and of two that touch.
_WIDEST_DIGIT, _NARROWEST_PAIR, _WIDEST_PAIR = 1.0, 0.75, 1.9
# And of what a colon's dots form with one digit, or with all.
_NARROWEST_FUSED, _WIDEST_FUSED = 0.8, 4.0
# Over its height: where such a shape is empty (to the first), inked (second to third), empty (to the fifth) and inked.
_COLON_ROWS = (0.12, 0.2, 0.5, 0.54, 0.72, 0.82)


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
            if lowest <= each.height <= highest and 0.15 <= each.width / each.height <= _WIDEST_PAIR
        ),
        key=lambda each: each.left,
    )
    # "9:41", its minutes perhaps run together.
    if len(digits) < 2:
        return []
    clocks = []
    for colon in _colons(glyphs, lowest, highest):
        clock = _around(layer, digits, colon)
        if clock is not None:
            clocks.append(clock)
    clocks.extend(_fused(layer, glyphs, digits, lowest, highest))
    return clocks


def _fused(
    layer: Layer, glyphs: Sequence[Glyph], digits: Sequence[Glyph], lowest: float, highest: float
) -> Iterator[Clock]:
    """Times whose colon is one shape with the digits beside it; only where a bar has its clock."""
    width = layer.relief.shape[1]
    for glyph in glyphs:
        if (
            lowest <= glyph.height <= highest
            and _NARROWEST_FUSED <= glyph.width / glyph.height <= _WIDEST_FUSED
            and (
                glyph.left <= 0.3 * width
                or glyph.right >= 0.85 * width
                or abs(glyph.left + glyph.right - width) <= 0.2 * width
            )
        ):
            for colon in _colons_inside(layer, glyph):
                sides = (replace(glyph, right=colon.left), replace(glyph, left=colon.right))
                parts = [each for each in sides if each.width >= 0.15 * each.height]
                others = [each for each in digits if each is not glyph]
                clock = _around(layer, [*others, *parts], colon, fused=True)
                if clock is not None:
                    yield clock


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


def _colons_inside(layer: Layer, glyph: Glyph) -> Iterator[_Colon]:
    """Where a colon may stand in a shape that bold digits form with its dots: columns with nothing on top, ink above
    the middle, a gap, and ink at the base."""
    ink = (layer.relief[glyph.top : glyph.bottom, glyph.left : glyph.right] >= layer.level).view(
        np.uint8
    )
    tall = glyph.height
    rows = [max(1, round(share * tall)) for share in _COLON_ROWS]
    # Ink of every column in the bands between those rows; asked of many letters, so in one go.
    sums = np.add.reduceat(ink, (0, *rows), axis=0, dtype=np.int32)
    like = (
        (sums[0] == 0)
        & (sums[2] >= 0.4 * (rows[2] - rows[1]))
        & (sums[4] <= 0.3 * (rows[4] - rows[3]))
        & (sums[6] >= 0.6 * (tall - rows[5]))
    )
    if not like.any():
        return
    edges = np.flatnonzero(np.diff(like.astype(np.int8), prepend=0, append=0))
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if 0.08 * tall <= last - first <= 0.36 * tall:
            yield _Colon(
                glyph.left + first,
                glyph.left + last,
                glyph.top + 0.35 * tall,
                glyph.bottom - 0.1 * tall,
            )


def _around(
    layer: Layer, digits: Sequence[Glyph], colon: _Colon, *, fused: bool = False
) -> Clock | None:
    # Only what stands level with the dots: the line below may begin a pixel nearer.
    digits = [each for each in digits if each.top <= colon.upper and each.bottom >= colon.lower - 1]
    after = [each for each in digits if each.left >= colon.right]
    if not after:
        return None
    first = min(after, key=lambda each: each.left)
    height = first.height
    # The dots stand inside the digits' height, the lower one near the base line.
    if not (
        first.top + 0.08 * height <= colon.upper <= first.top + 0.62 * height
        and first.top + 0.6 * height <= colon.lower <= first.bottom + 0.05 * height
    ):
        return None
    before = [each for each in digits if each.right <= colon.left]
    # What a place of a time can hold: a digit that cannot stand there is no candidate.
    minutes = _number(layer, _run(after, colon.right, +1, height, first.top, 2), ("012345", _ANY))
    if minutes is None or minutes.mean < _HOPELESS:
        return None
    hours = _number(
        layer, _run(before, colon.left, -1, height, first.top, 2)[::-1], ("012", _ANY), last=True
    )
    if hours is None:
        return None
    parts = (*hours.glyphs, *minutes.glyphs)
    clock = Clock(
        left=min(each.left for each in parts),
        top=min(each.top for each in parts),
        right=max(each.right for each in parts),
        bottom=max(each.bottom for each in parts),
        likeness=float(np.mean([*hours.likeness, *minutes.likeness])),
    )
    # A word has a stroke and a dot, or a pair of letters that touch, somewhere in it: a time stands alone.
    if (fused or len(parts) < len(hours.likeness) + len(minutes.likeness)) and not _alone(
        layer, clock
    ):
        return None
    return clock


def _alone(layer: Layer, clock: Clock) -> bool:
    near = _LETTER_GAP * clock.height
    return not any(
        each.height >= 0.5 * clock.height
        and clock.top < each.middle < clock.bottom
        and (0 <= clock.left - each.right <= near or 0 <= each.left - clock.right <= near)
        for each in layer.glyphs
    )


@dataclass(frozen=True, slots=True)
class _Number:
    glyphs: tuple[Glyph, ...]
    likeness: tuple[float, ...]

    @property
    def mean(self) -> float:
        return sum(self.likeness) / len(self.likeness)


def _number(
    layer: Layer, run: Sequence[Glyph], allowed: tuple[str, str], *, last: bool = False
) -> _Number | None:
    """The likeliest number that begins with the first glyph of `run`, the nearest to the colon: two digits apart, or
    two that touch, or, for the hours (`last`: they are read from the right), a single one."""
    if not run:
        return None
    nearest, second = run[0], run[1] if len(run) > 1 else None
    readings: list[_Number] = []
    if _is_digit(nearest):
        letter = second is not None
        if second is not None and _is_digit(second):
            pair = (second, nearest) if last else (nearest, second)
            first, other = (
                _likeness(layer, glyph, digits) for glyph, digits in zip(pair, allowed, strict=True)
            )
            readings.append(_Number(pair, (first, other)))
            # Another digit makes it something else than an hour.
            letter = first < _NO_DIGIT and _likeness(layer, second, _ANY) < LEAST_LIKENESS
        # "PM9:41": a letter before the hour is none of its digits.
        if last and (second is None or letter):
            readings.append(_Number((nearest,), (_likeness(layer, nearest, _ANY),)))
    if nearest.width >= _NARROWEST_PAIR * nearest.height and all(
        each.mean < _LEGIBLE for each in readings
    ):
        readings.extend(_touching(layer, nearest, allowed))
    return max(readings, key=lambda each: each.mean, default=None)


def _is_digit(glyph: Glyph) -> bool:
    return glyph.width <= _WIDEST_DIGIT * glyph.height


def _touching(layer: Layer, glyph: Glyph, allowed: tuple[str, str]) -> Iterator[_Number]:
    """Two digits that run together, parted where there is the least ink between them."""
    patch = layer.relief[glyph.top : glyph.bottom, glyph.left : glyph.right]
    least = max(2, round(0.2 * glyph.width), glyph.width - int(_WIDEST_DIGIT * glyph.height))
    inner = patch.sum(axis=0, dtype=np.int64)[least : glyph.width - least]
    for column in sorted(np.argsort(inner, kind="stable")[:_CUTS].tolist()):
        halves = (patch[:, : least + column], patch[:, least + column :])
        first, second = (
            likeness(half, digits) for half, digits in zip(halves, allowed, strict=True)
        )
        yield _Number((glyph,), (first, second))


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
    return likeness(layer.relief[glyph.top : glyph.bottom, glyph.left : glyph.right], allowed)
