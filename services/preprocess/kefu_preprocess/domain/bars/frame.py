"""Is the row that of a phone drawn on the picture? Then the frame's sides stand between it and the picture's own."""

from __future__ import annotations

import numpy as np

from kefu_preprocess.domain.bars.glyphs import Glyph
from kefu_preprocess.domain.bars.row import Row
from kefu_preprocess.domain.bars.strip import Strip
from kefu_preprocess.domain.decode import Pixels

# Levels, within two columns, of a frame's edge.
_STEP = 14
# Of a round corner: levels of its edge, how near to the glyphs JPEG draws its own, over their height, and how many of
# the rows must show the edge and not lead it back.
_JITTER = 4
_CLEAR_STEP, _RINGING, _SEEN, _OUTWARD = 24, 0.35, 0.6, 0.85


def recognised_top(row: Row) -> int:
    """The first row of what was recognised: a shape of the row may be the corner of a frame around it."""
    parts = [each.top for each in row.pictograms]
    if row.clock is not None:
        parts.append(row.clock.top)
    return max(row.top, min(parts) - round(0.2 * row.height)) if parts else row.top


def is_framed(strip: Strip, row: Row) -> bool:
    """Whether an upright edge as tall as the row stands between the picture's side and the row's first or last glyph:
    the edge of a device that is drawn around the screen, or of another picture beside it. Or, at both sides, a round
    corner's edge that becomes upright further down: a picture with round corners of its own has nothing there."""
    top = max(0, recognised_top(row) - round(0.3 * row.height))
    bottom = min(strip.height, row.bottom + round(0.3 * row.height))
    # The frame itself may be a tall shape of the row.
    low = [each for each in row.glyphs if each.height <= 1.6 * row.height]
    sides = _sides(strip, low, 2)
    if any(_upright_edge(side[top:bottom]) for side in sides):
        return True
    level = [
        each
        for each in low
        if 0.4 * row.height <= each.height <= 1.3 * row.height
        and abs(each.middle - row.middle) <= 0.4 * row.height
    ]
    return all(
        _corner(side[int(row.middle) : bottom])
        and _upright_edge(side[(row.bottom + strip.height) // 2 :])
        for side in _sides(strip, level, round(_RINGING * row.height))
    )


def _sides(strip: Strip, glyphs: list[Glyph], gap: int) -> tuple[Pixels, Pixels]:
    """What lies between the picture's sides and, less `gap`, the first and the last of some glyphs, the right one
    mirrored."""
    first = min((each.left for each in glyphs), default=0)
    last = max((each.right for each in glyphs), default=strip.width)
    margin = max(2, round(0.003 * strip.width))
    left, right = (
        strip.rgb[:, margin : max(margin, first - gap)],
        strip.rgb[:, last + gap : strip.width - margin],
    )
    return left, right[:, ::-1]


def _upright_edge(band: Pixels) -> bool:
    if band.shape[0] < 3 or band.shape[1] < 3:
        return False
    wide = band.astype(np.int16)
    steps = np.sort(wide[:, 2:] - wide[:, :-2], axis=0)
    # Every row must step to the same side in one of the colours; a twentieth may not, for noise.
    few = steps.shape[0] // 20
    return bool((steps[few] >= _STEP).any() or (steps[-1 - few] <= -_STEP).any())


def _corner(band: Pixels) -> bool:
    """Whether the edge nearest to the glyphs leads outwards from row to row."""
    if band.shape[0] < 3 or band.shape[1] < 3:
        return False
    wide = band.astype(np.int16)
    steps = np.abs(wide[:, 2:] - wide[:, :-2]).max(axis=2) >= _CLEAR_STEP
    seen = steps.any(axis=1)
    if float(seen.mean()) < _SEEN:
        return False
    inner = steps.shape[1] - np.argmax(steps[seen, ::-1], axis=1)
    # Over a photo it would lead back as often as not.
    return float((np.diff(inner) <= _JITTER).mean()) >= _OUTWARD
