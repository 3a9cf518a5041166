"""Rows of a page, rebuilt from the boxes that the OCR found.

>>> segments = [Segment("Total due", 0.99, quad_a), Segment("£115.87", 0.99, quad_b)]
>>> [row.text for row in build_rows(segments)]
['Total due: £115.87']

An OCR gives loose pieces of text.  A small language model answers well only when pieces that belong together
stand together, so this module turns them back into lines in reading order:

1. the page is turned upright (a photographed page is tilted by a few degrees, which is enough to put a value on
   the line above its key),
2. columns of running text (a gutter that many lines respect) are read one after the other,
3. pieces on one line become `key: value`, or `a | b | c` where there are more (a table),
4. a tall piece beside several small lines (the `¥50` of a voucher) heads the lines beside it.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

Quad = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of text as the OCR saw it.

    text:  what it reads
    score: the recogniser's confidence, 0-1
    quad:  corners in px of the picture, clockwise from top left
    """

    text: str
    score: float
    quad: Quad


@dataclass(frozen=True, slots=True)
class Row:
    """One line that the model is shown, and that an answer can be traced to.

    text:  the rebuilt line
    box:   (left, top, right, bottom) in px of the picture
    score: lowest confidence of its pieces, 0-1
    """

    text: str
    box: tuple[int, int, int, int]
    score: float


@dataclass(slots=True)
class _Piece:
    """A segment in the coordinates of the upright page."""

    text: str
    score: float
    left: float
    right: float
    middle: float
    height: float
    quad: Quad

    @property
    def top(self) -> float:
        return self.middle - self.height / 2

    @property
    def bottom(self) -> float:
        return self.middle + self.height / 2


# "2025-04-2010:33:02": the recogniser drops the narrow blank between a date and a time.
_DATE_TIME = re.compile(r"(?<!\d)(\d{4}[-/.]\d{1,2}[-/.]\d{2})(\d{1,2}:\d{2})")
_BLANKS = re.compile(r"\s+")
_KEY_END = re.compile(r"[:：]\s*$")

_CLOCK = re.compile(r"(?:[AP]M|[上下]午)?\s?\d{1,2}:\d{2}(?:\s?[AP]M)?", re.IGNORECASE)
_STATUS_BAR = re.compile(
    rf"(?:{_CLOCK.pattern}|\d{{1,3}}\s?%?|[2-6]G\+?|LTE|4G\+|VoLTE|HD\d?|Wi-?Fi|EDGE|[\d.]+\s?[KM]B?/s"
    r"|中国(?:移动|联通|电信|广电)|[^\w\s]+|\s)+",
    re.IGNORECASE,
)

# Two pieces share a line when their middles are closer than this part of the smaller height.
_SAME_LINE = 0.6
# A piece this much taller than its neighbours can head several lines.
_HEADING = 1.4
# Running text fills its column; `key … value` leaves most of the width empty.
_RUNNING_TEXT = 0.55
# A sentence is longer than a key: so many times as long as it is high.
_LONG_LINE = 7.0


def tidy(text: str) -> str:
    """One line of text with single blanks, and with a lost blank between date and time put back."""
    return _DATE_TIME.sub(r"\1 \2", _BLANKS.sub(" ", text)).strip()


def build_rows(segments: Sequence[Segment]) -> list[Row]:
    """Rows in reading order; an empty list for a page without text."""
    pieces = _without_status_bar(_upright([s for s in segments if tidy(s.text)]))
    return [row for block in _columns(pieces) for row in _block_rows(block)]


def _upright(segments: Sequence[Segment]) -> list[_Piece]:
    """Pieces with the page's tilt taken out (the median angle of the long pieces, whose angle is sure)."""
    angles = []
    for segment in segments:
        (x0, y0), (x1, y1) = segment.quad[0], segment.quad[1]
        height = math.dist(segment.quad[0], segment.quad[3])
        if math.hypot(x1 - x0, y1 - y0) > 3 * height:
            angles.append(math.atan2(y1 - y0, x1 - x0))
    tilt = statistics.median(angles) if angles else 0.0
    cos, sin = math.cos(-tilt), math.sin(-tilt)

    pieces = []
    for segment in segments:
        turned = [(x * cos - y * sin, x * sin + y * cos) for x, y in segment.quad]
        xs = [x for x, _ in turned]
        pieces.append(
            _Piece(
                text=tidy(segment.text),
                score=segment.score,
                left=min(xs),
                right=max(xs),
                middle=sum(y for _, y in turned) / 4,
                height=max(1.0, math.dist(segment.quad[0], segment.quad[3])),
                quad=segment.quad,
            )
        )
    return pieces


def _without_status_bar(pieces: list[_Piece]) -> list[_Piece]:
    """Leaves out a phone's clock, signal and battery above everything else.

    They say nothing about the page, and the clock is taken for a time on it.  The gateway crops the bar where it is
    sure of it; here it is known by what it says.
    """
    first = min((p.top for p in pieces if not _STATUS_BAR.fullmatch(p.text)), default=math.inf)
    bar = [p for p in pieces if p.bottom <= first + p.height / 2 and _STATUS_BAR.fullmatch(p.text)]
    has_clock = any(_CLOCK.fullmatch(p.text.split()[0]) for p in bar)
    return [p for p in pieces if p not in bar] if has_clock else pieces


def _columns(pieces: list[_Piece]) -> list[list[_Piece]]:
    """Splits at a gutter when both sides are running text; else one block."""
    if len(pieces) < 8:
        return [pieces]
    gutter = _gutter(pieces)
    if gutter is None:
        return [pieces]
    left = [p for p in pieces if p.right <= gutter[0]]
    right = [p for p in pieces if p.left >= gutter[1]]
    if min(len(left), len(right)) < 4:
        return [pieces]
    if not all(_is_running(side, gutter[1] - gutter[0]) for side in (left, right)):
        return [pieces]
    return [*_columns(left), *_columns(right)]


def _gutter(pieces: list[_Piece]) -> tuple[float, float] | None:
    """The widest vertical strip that no piece touches, from x to x, if it is wider than a line is high."""
    spans = sorted((p.left, p.right) for p in pieces)
    line = statistics.median(p.height for p in pieces)
    best, reach = line, spans[0][1]
    strip: tuple[float, float] | None = None
    for left, right in spans[1:]:
        if left - reach > best:
            best, strip = left - reach, (reach, left)
        reach = max(reach, right)
    return strip


def _is_running(pieces: list[_Piece], gutter: float) -> bool:
    """True for a column of sentences: lines that fill it, are long, and keep a narrow gutter to the next."""
    width = max(p.right for p in pieces) - min(p.left for p in pieces)
    line = statistics.median(p.right - p.left for p in pieces)
    height = statistics.median(p.height for p in pieces)
    return line > _RUNNING_TEXT * width and line > _LONG_LINE * height and gutter < width / 2


def _block_rows(pieces: list[_Piece]) -> list[Row]:
    lines = _lines(pieces)
    rows: list[Row] = []
    for head, members in _headed(lines):
        flat = [piece for line in members for piece in line]
        if head is not None:
            rows.append(_row(f"{head.text}: {', '.join(p.text for p in flat)}", [head, *flat]))
        else:
            rows.extend(_row(_join(line), line) for line in members)
    return rows


def _lines(pieces: list[_Piece]) -> list[list[_Piece]]:
    """Pieces grouped by height on the page, top to bottom, each line left to right."""
    lines: list[list[_Piece]] = []
    for piece in sorted(pieces, key=lambda p: p.middle):
        for line in reversed(lines[-4:]):
            if all(_share_line(piece, other) for other in line):
                line.append(piece)
                break
        else:
            lines.append([piece])
    for line in lines:
        line.sort(key=lambda p: p.left)
    return lines


def _share_line(a: _Piece, b: _Piece) -> bool:
    near = abs(a.middle - b.middle) < _SAME_LINE * min(a.height, b.height)
    beside = a.right <= b.left + a.height / 2 or b.right <= a.left + b.height / 2
    return near and beside


def _headed(lines: list[list[_Piece]]) -> list[tuple[_Piece | None, list[list[_Piece]]]]:
    """Lines, those beside one tall piece gathered under it.

    The tall piece may stand on a line of its own or share the middle one; the lines beside it lie within its card:
    their middles are nearer to it than to any other tall piece, and no line without a neighbour lies between.
    """
    heads = [p for line in lines for p in line if _is_head(p, lines)]
    groups: list[tuple[_Piece | None, list[list[_Piece]]]] = []
    taken: dict[int, list[list[_Piece]]] = {id(head): [] for head in heads}
    placed: set[int] = set()
    for line in lines:
        body = [p for p in line if id(p) not in taken]
        owner = _owner(body or line, heads)
        if owner is None:
            groups.append((None, [line]))
            continue
        if id(owner) not in placed:
            placed.add(id(owner))
            groups.append((owner, taken[id(owner)]))
        if body:
            taken[id(owner)].append(body)
    return [(head, members) for head, members in groups if members]


def _is_head(piece: _Piece, lines: list[list[_Piece]]) -> bool:
    """True for a tall piece with at least two smaller lines to its right within reach."""
    beside = {index for index, line in enumerate(lines) for other in line if _beside(piece, other)}
    return len(beside) >= 2


def _beside(head: _Piece, other: _Piece) -> bool:
    """`other` is a smaller piece to the right of `head`, within its card (its height above and below)."""
    return (
        other is not head
        and other.left >= head.right
        and head.height >= _HEADING * other.height
        and abs(other.middle - head.middle) <= 1.1 * head.height
    )


def _owner(line: list[_Piece], heads: list[_Piece]) -> _Piece | None:
    if len(line) == 1 and any(line[0] is head for head in heads):
        return line[0]
    near = [h for h in heads if any(_beside(h, p) for p in line)]
    return min(near, key=lambda h: abs(h.middle - line[0].middle), default=None)


def _join(line: list[_Piece]) -> str:
    texts = [p.text for p in line]
    if len(texts) == 1:
        return texts[0]
    if len(texts) == 2:
        return f"{_KEY_END.sub('', texts[0])}: {texts[1]}"
    return " | ".join(texts)


def _row(text: str, pieces: Sequence[_Piece]) -> Row:
    xs = [x for p in pieces for x, _ in p.quad]
    ys = [y for p in pieces for _, y in p.quad]
    return Row(
        text=text,
        box=(round(min(xs)), round(min(ys)), round(max(xs)), round(max(ys))),
        score=min(p.score for p in pieces),
    )
