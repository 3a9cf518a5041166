"""The row of a status bar: where its clock, its pictograms and everything beside them stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from kefu_preprocess.domain.bars.clock import LEAST_LIKENESS, Clock, find_clocks
from kefu_preprocess.domain.bars.glyphs import Glyph, Layer
from kefu_preprocess.domain.bars.pictograms import Pictogram, Sign, find_pictograms


class Place(StrEnum):
    """Where the clock stands."""

    LEFT = "left"
    CENTRE = "centre"
    RIGHT = "right"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A candidate for a status bar's row, in pixels of the strip; `height` is that of its digits, or what they would
    have. `glyphs` are all shapes on it, `top` and `bottom` (exclusive) their extent."""

    layer: Layer
    clock: Clock | None
    others: int
    pictograms: tuple[Pictogram, ...]
    glyphs: tuple[Glyph, ...]
    height: float
    middle: float
    top: int
    bottom: int
    place: Place

    @property
    def signs(self) -> int:
        """How many kinds of pictogram were recognised, 0 to 3; a percentage is none."""
        return len({each.sign for each in self.pictograms} - {Sign.PERCENT})


# Height of a bar's digits over the device's shorter side: a large iPad's clock is 0.8 %, an iPhone's 3.3 %, with an
# enlarged display 3.8 %.
_LOWEST, _HIGHEST = 0.0075, 0.04
# The row's middle over the device's shorter side: 8.2 % under a Dynamic Island is the deepest known.
DEEPEST = 0.115
# A strip with more shapes than this is a photo's grain, in which nothing could be read. A bar over a map has 230.
_MOST_GLYPHS = 500


def find_rows(layer: Layer, unit: float, width: int) -> Iterator[Row]:
    """Candidates on one layer, with a clock and without; `unit` is the device's shorter side in pixels of the strip."""
    if len(layer.glyphs) > _MOST_GLYPHS:
        return
    clocks = [
        each
        for each in find_clocks(layer, _LOWEST * unit, _HIGHEST * unit)
        if each.middle <= DEEPEST * unit and each.likeness >= LEAST_LIKENESS
    ]
    for clock in clocks:
        yield _row(layer, clock, clocks, clock.height, clock.middle, width)
    yield from _rows_without_clock(layer, unit, width)


def _rows_without_clock(layer: Layer, unit: float, width: int) -> Iterator[Row]:
    """Rows through a shape near the right edge that could be a battery: the one that nearly every bar ends with."""
    seen: list[float] = []
    for glyph in layer.glyphs:
        if not (
            glyph.right > 0.8 * width
            and _LOWEST * unit <= glyph.height <= 1.4 * _HIGHEST * unit
            and glyph.middle <= DEEPEST * unit
            and (
                0.4 <= glyph.width / glyph.height <= 0.72
                or 1.5 <= glyph.width / glyph.height <= 3.0
            )
        ):
            continue
        if any(abs(glyph.middle - each) < 0.2 * glyph.height for each in seen):
            continue
        seen.append(glyph.middle)
        row = _row(layer, None, [], 0.8 * glyph.height, glyph.middle, width)
        if row.signs >= 2:
            yield row


def _row(
    layer: Layer,
    clock: Clock | None,
    clocks: Sequence[Clock],
    height: float,
    middle: float,
    width: int,
) -> Row:
    glyphs = tuple(
        sorted(
            (
                each
                for each in layer.glyphs
                if abs(each.middle - middle) <= 0.75 * height
                and 0.1 * height <= each.height <= 1.9 * height
                and each.width <= 0.25 * width
                and each.ink >= 3
            ),
            key=lambda each: each.left,
        )
    )
    # Signs stand level with the clock and are of its size; the rest (a label below, a slanted ribbon) is only counted.
    level = [each for each in glyphs if abs(each.middle - middle) <= 0.5 * height]
    pictograms = find_pictograms(layer, level, height)
    if clock is not None:
        pictograms = [
            each for each in pictograms if each.right <= clock.left or each.left >= clock.right
        ]
    tall = [each for each in level if each.height >= 0.4 * height] or list(glyphs)
    others = 0
    if clock is not None:
        others = sum(
            1
            for each in clocks
            if (each.left > clock.right or each.right < clock.left)
            and abs(each.middle - middle) < height
            and each.likeness > 0.75
        )
    return Row(
        layer=layer,
        clock=clock,
        others=others,
        pictograms=tuple(pictograms),
        glyphs=glyphs,
        height=height,
        middle=middle,
        top=min((each.top for each in tall), default=0),
        bottom=max((each.bottom for each in tall), default=0),
        place=_place(clock, width),
    )


def _place(clock: Clock | None, width: int) -> Place:
    if clock is None:
        return Place.NOWHERE
    centre = (clock.left + clock.right) / 2
    if abs(centre - width / 2) <= 0.07 * width:
        return Place.CENTRE
    if clock.left <= 0.3 * width:
        return Place.LEFT
    if clock.right >= 0.85 * width:
        return Place.RIGHT
    return Place.NOWHERE
