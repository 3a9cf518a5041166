"""Is there a status bar on top, and where does it end?

A row of small glyphs proves nothing: app bars, window titles and web pages have one too. What they do not have is a
clock that can be read as a time, at the left, in the middle or at the right end, level with a battery, a Wi-Fi fan or
signal bars on the other side, with nothing above it and nothing between it and the picture's sides. Two such proofs and
a clean row are needed; whatever is missing makes the picture stay whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from kefu_preprocess.domain.bars.boundary import Boundary, find_boundary, row_shares
from kefu_preprocess.domain.bars.clock import LEAST_LIKENESS
from kefu_preprocess.domain.bars.frame import is_framed, recognised_top
from kefu_preprocess.domain.bars.glyphs import layers
from kefu_preprocess.domain.bars.pictograms import Pictogram, Sign
from kefu_preprocess.domain.bars.row import DEEPEST, Place, Row, find_rows
from kefu_preprocess.domain.bars.strip import Strip

# Glyphs are thinner than this, over the device's shorter side: a battery's case is 3.5 % tall.
_THICKEST = 0.05
_HALF_A_GLYPH = 0.025
# Confidence from which a bar is cut.
CERTAIN = 0.7
# Evidence below which a row is not looked at again, and confidence above which no other layer can tell more.
_HOPELESS, _ENOUGH = 0.2, 0.84
# Heights of a digit within which what follows the clock belongs to it.
_NEAR_CLOCK = 8
# Shapes beside a percentage that make it one of charge: its digits, and two pictograms or more.
_IN_COMPANY = 4
# What a row adds to its clock by its layout alone.
_TIDY = 0.16


@dataclass(frozen=True, slots=True)
class StatusBar:
    """`cut`: first row that stays, in pixels of the strip. `confidence` 0 to 1. `tidy`: a clock and what stands across
    from it are laid out like a phone's, on an empty ground."""

    cut: int
    confidence: float
    row: Row
    boundary: Boundary
    tidy: bool


def find_status_bar(strip: Strip) -> StatusBar | None:
    """The likeliest status bar, however unlikely; None where nothing looks like one."""
    best: StatusBar | None = None
    # The rows below the deepest possible row are only looked at to find the bar's end.
    depth = int((DEEPEST + _HALF_A_GLYPH) * strip.unit)
    for layer in layers(strip.grey[:depth], int(_THICKEST * strip.unit)):
        judged = [(_evidence(strip, row), row) for row in find_rows(layer, strip.unit, strip.width)]
        for evidence, row in sorted(judged, key=lambda each: -each[0]):
            if evidence <= (_HOPELESS if best is None else best.confidence):
                break
            bar = _judge(strip, row, evidence)
            if bar is not None and (best is None or bar.confidence > best.confidence):
                best = bar
                break
        if best is not None and best.confidence >= _ENOUGH:
            break
    return best


def _judge(strip: Strip, row: Row, evidence: float) -> StatusBar | None:
    if not _nothing_above(strip, row) or is_framed(strip, row):
        return None
    boundary = find_boundary(strip, _extent(row), _cutout(strip, row))
    if boundary is None:
        return None
    if not boundary.clear and not boundary.edge:
        evidence -= 0.1
    tidy = _tidy(strip, row)
    if boundary.edge and not row.signs and tidy:
        # A receipt's time and price stand like a clock and a battery: without a pictogram there must be a band.
        evidence += _TIDY
    tidy = tidy and (boundary.edge or boundary.clear > 0)
    return StatusBar(boundary.cut, min(0.99, evidence), row, boundary, tidy)


def _evidence(strip: Strip, row: Row) -> float:
    """Adds up what was recognised: about 0.5 a proof, less what speaks against it."""
    sum_ = 0.0
    if row.clock is not None:
        sum_ += 0.15 + 0.4 * min(1.0, (row.clock.likeness - LEAST_LIKENESS) / 0.1)
    across = [
        each
        for each in row.pictograms
        if _across(strip, row, each.left, each.right)
        # No maker puts the battery at the left.
        and (each.sign is not Sign.BATTERY or each.left > 0.5 * strip.width)
    ]
    signs = {each.sign for each in across}
    if signs == {Sign.PERCENT}:
        # Weather and battery settings list percentages beside times as well, but not with pictograms before them.
        known = row.clock is not None and _company(strip, row, across) >= _IN_COMPANY
        signs = {Sign.BATTERY} if known else set()
    if signs == {Sign.BATTERY} and _company(strip, row, across) < 2 and not _beside_clock(row):
        # A lone rounded box may be any button: a battery has a percentage or other glyphs beside it. One that stands,
        # with its cap, is hardly anything else.
        standing = any(each.right - each.left < each.bottom - each.top for each in across)
        sum_ += 0.22 if standing else 0.1
    else:
        sum_ += 0.3 * min(1, len(signs)) + 0.12 * max(0, len(signs) - 1)
    if row.clock is None:
        # A funnel and a magnifying glass look like a fan and a triangle: without a clock the battery must be there.
        if Sign.BATTERY not in signs:
            return 0.0
        sum_ += 0.1 if len(signs) < 3 else 0.2
        if strip.portrait and _short_text_on_the_left(strip, row):
            sum_ += 0.22
    if row.clock is not None and row.place is Place.NOWHERE:
        return 0.0
    if row.others or _twice(strip, row):
        # Two clocks, or two Wi-Fi fans, side by side are two phones on one picture.
        return 0.0
    gap = _widest_gap(strip, row)
    if gap < 0.1:
        sum_ -= 0.25
    if not strip.portrait:
        sum_ -= _landscape_doubt(strip, row)
    return sum_


def _beside_clock(row: Row) -> bool:
    """Whether a Wi-Fi fan or signal bars follow the clock: some makers leave the battery alone on the other side."""
    if row.clock is None:
        return False
    near = row.clock.right + _NEAR_CLOCK * row.height
    return any(
        each.sign is not Sign.BATTERY and row.clock.right <= each.left <= near
        for each in row.pictograms
    )


def _twice(strip: Strip, row: Row) -> bool:
    """Whether a sign that a phone has once stands on the row twice, far apart. Signal bars may: there are two cards.
    An app's icon that looks like a battery stands among the notifications: close behind a left clock, or at the far
    left of a right one."""
    notified = 0.25 * strip.width
    if row.clock is not None and row.place is Place.LEFT:
        notified = row.clock.right + 0.2 * strip.width
    for sign in (Sign.WIFI, Sign.BATTERY):
        places = [
            each.left for each in row.pictograms if each.sign is sign and each.right > notified
        ]
        if places and max(places) - min(places) > 0.3 * strip.width:
            return True
    return False


def _short_text_on_the_left(strip: Strip, row: Row) -> bool:
    """Something of a time's proportions stands alone at the left: bold digits that run together on a small picture
    cannot be read one by one."""
    left = [
        each
        for each in row.glyphs
        if each.right < 0.45 * strip.width and each.height >= 0.5 * row.height
    ]
    if not left:
        return False
    first = left[0]
    end = first.right
    for each in left[1:]:
        if each.left - end > 0.4 * first.height:
            break
        end = max(end, each.right)
    proportions = (end - first.left) / max(each.height for each in left)
    margin = 0.01 * strip.width <= first.left <= 0.25 * strip.width
    return margin and 1.5 <= proportions <= 3.8 and _widest_gap(strip, row) >= 0.2


def _company(strip: Strip, row: Row, across: Sequence[Pictogram]) -> int:
    """How many other glyphs of the row stand close beside the pictograms, the clock's own aside."""
    taken = [(each.left, each.right) for each in across]
    first, last = min(each[0] for each in taken), max(each[1] for each in taken)
    if row.clock is not None:
        taken.append((row.clock.left, row.clock.right))
    near = 5 * row.height
    return sum(
        1
        for each in row.glyphs
        if each.height >= 0.4 * row.height
        and each.right >= first - near
        and each.left <= last + near
        and _across(strip, row, each.left, each.right)
        and all(each.right <= left or each.left >= right for left, right in taken)
    )


def _across(strip: Strip, row: Row, left: int, right: int) -> bool:
    """Whether something stands where a bar has its pictograms: away from a left clock, at the outer thirds else."""
    if row.place is Place.LEFT:
        return left > 0.5 * strip.width
    if row.place is Place.RIGHT:
        return left > 0.4 * strip.width
    return left > 0.6 * strip.width or (row.place is Place.CENTRE and right < 0.4 * strip.width)


def _tidy(strip: Strip, row: Row) -> bool:
    """A phone's row, though no pictogram was recognised: a clock on the left and a small group at the right edge whose
    margin is like the clock's, or a clock at the right end and the group close before it."""
    if row.clock is None or not strip.portrait:
        return False
    if row.place is Place.RIGHT:
        before = [
            each
            for each in row.glyphs
            if 0.5 * strip.width < each.left and each.right <= row.clock.left
        ]
        return (
            2 <= len(before) <= 20
            and row.clock.left - max(each.right for each in before) <= 2 * row.height
            and _empty_on_the_left(strip, row)
        )
    if row.place is not Place.LEFT:
        return False
    right = [each for each in row.glyphs if each.left > 0.55 * strip.width]
    if not 2 <= len(right) <= 40:
        return False
    margin = strip.width - max(each.right for each in right)
    spread = strip.width - min(each.left for each in right)
    return (
        0.01 * strip.width <= margin <= max(0.1 * strip.width, 1.6 * row.clock.left)
        and spread <= 0.42 * strip.width
        and _widest_gap(strip, row) >= 0.2
    )


def _widest_gap(strip: Strip, row: Row) -> float:
    """The widest empty stretch of the row between two glyphs, over the strip's width."""
    if row.place is Place.RIGHT and not any(g.right < 0.4 * strip.width for g in row.glyphs):
        return 1.0
    edge: int | None = None
    widest = 0
    for glyph in sorted(row.glyphs, key=lambda each: each.left):
        if glyph.height < 0.3 * row.height:
            continue
        if edge is not None:
            widest = max(widest, glyph.left - edge)
        edge = glyph.right if edge is None else max(edge, glyph.right)
    if row.clock is not None and edge is not None and edge <= row.clock.right + 1:
        return 1.0  # a clock with nothing beside it
    return widest / strip.width


def _landscape_doubt(strip: Strip, row: Row) -> float:
    """A desktop's menu bar has a clock, Wi-Fi and a battery as well: at the right end or in the middle, and small. A
    phone's or a tablet's stands at the left."""
    if row.place in (Place.LEFT, Place.NOWHERE):
        return 0.0 if row.place is Place.LEFT else 0.2
    if row.place is Place.RIGHT and _empty_on_the_left(strip, row):
        return 0.0
    small = row.height < 0.017 * strip.unit
    crowded = sum(1 for each in row.glyphs if each.right < 0.45 * strip.width) > 14
    return 0.5 if small or crowded or row.place is Place.CENTRE else 0.0


def _empty_on_the_left(strip: Strip, row: Row) -> bool:
    """Two notifications at most: a desktop has the names of its menus there."""
    return sum(1 for each in row.glyphs if each.right < 0.5 * strip.width) <= 2


def _nothing_above(strip: Strip, row: Row) -> bool:
    """No letters and no edge of a window above the row; a slanted ribbon in the right corner is not counted."""
    above = recognised_top(row) - round(0.2 * row.height)
    if above <= 2:
        return True
    width = int(strip.width * 0.8)
    ink = sum(
        each.ink
        for each in row.layer.glyphs
        if each.bottom <= above and each.right <= width and each.height >= 0.3 * row.height
    )
    if ink > 1.5 * row.height**2:
        return False
    rows = strip.rgb[:above].astype(np.int16)
    steps = rows[3:] - rows[2:-1]  # the first rows may be a hairline of a scan or a frame grab
    if steps.size == 0:
        return True
    share = np.maximum(row_shares(steps >= 12), row_shares(steps <= -12))
    return bool(share.max() < 0.6)


def _extent(row: Row) -> tuple[int, int]:
    """First and last (exclusive) row of the bar's glyphs."""
    parts = [(each.top, each.bottom) for each in row.pictograms]
    if row.clock is not None:
        parts.append((row.clock.top, row.clock.bottom))
    level = [
        each
        for each in row.glyphs
        if abs(each.middle - row.middle) <= 0.4 * row.height
        and 0.5 * row.height <= each.height <= 1.6 * row.height
    ]
    parts += [(each.top, each.bottom) for each in level]
    return min(each[0] for each in parts), max(each[1] for each in parts)


def _cutout(strip: Strip, row: Row) -> tuple[int, int] | None:
    """Rows of a black disc or pill (camera hole, Dynamic Island) level with the row, on a lighter bar."""
    depth = min(strip.height, int(0.16 * strip.unit))
    black = np.asarray(cv2.inRange(strip.rgb[:depth], (0, 0, 0), (12, 12, 12)), np.uint8)
    if cv2.countNonZero(black) < 0.7 * (0.035 * strip.unit) ** 2:
        return None  # too little black for the smallest hole: most pictures, in a third of the time
    if int(black[:, : int(0.02 * strip.width) + 1].mean()) > 127:
        return None  # on a black bar there is nothing to be seen
    _, _, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(
        black, 4, cv2.CV_32S, cv2.CCL_GRANA
    )
    for left, top, width, height, ink in stats[1:].tolist():
        full = ink >= 0.7 * width * height
        size = 0.035 * strip.unit <= height <= 0.125 * strip.unit
        shape = height <= width <= 0.36 * strip.unit
        level = 0 < top < row.middle < top + height and left > 0
        if full and size and shape and level:
            return top, top + height
    return None
