"""The elements of a screen, for Set-of-Mark prompting (Yang et al., arXiv:2310.11441), without any OCR.

Everything happens on a copy 540 pixels wide, so that sizes mean the same on every phone and a 1080×2400 shot takes
25 ms. Pictures are where hardly anything is flat and the colours are many, buttons are flat shapes with a label in
them, text and icons are the edges that remain, grouped into lines and blocks. docs/pictures.md says how many are found.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from kefu_preprocess.domain.decode import Pixels
from kefu_preprocess.domain.values import Box, Element, ElementKind

_WIDTH = 540
# No more elements than this: numbers past it would hide what they mark.
_MOST = 200
_EDGE = 26
_FLAT = 6
# Side, in pixels, of the surroundings that are looked at for a photo, and the share of them that is not flat.
_AROUND, _LIVELY = 13, 0.66
_LEAST_PICTURE = 38
# Grey levels: a page's own differ by less from row to row, and a photo's edge is a step of more.
_PAGE = 5.0
# Columns between words, and between letters; rows above which a piece is more than a line or a sign.
_WORDS, _LETTERS, _TALL = 11, 5, 30
# Height, in pixels, below which nothing is a letter.
_THIN = 7
# Colours of a photo, and the share of its pixels that may have the same one.
_COLOURFUL, _GROUND = 30, 0.45

Mask = NDArray[np.uint8]


@dataclass(slots=True)
class _Found:
    """Edges in pixels of the small copy, right and bottom exclusive."""

    kind: ElementKind
    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def area(self) -> int:
        return self.width * self.height

    def holds(self, other: _Found) -> bool:
        return (
            self.left <= other.left + 2
            and self.top <= other.top + 2
            and self.right >= other.right - 2
            and self.bottom >= other.bottom - 2
        )


def find_elements(pixels: Pixels) -> tuple[Element, ...]:
    """Elements of an RGB picture in reading order, boxes in its own pixels."""
    rows, columns = pixels.shape[:2]
    if min(rows, columns) < 32:
        return ()
    # A desktop shot is as wide as two or three phones: its text must not shrink with it.
    width = min(columns, max(_WIDTH, round(_WIDTH * columns / rows)))
    scale = columns / width
    small: Pixels = np.asarray(
        cv2.resize(pixels, (width, max(1, round(rows / scale))), interpolation=cv2.INTER_AREA),
        np.uint8,
    )
    slopes = np.asarray(cv2.morphologyEx(small, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))).max(
        axis=2
    )
    pictures = _pictures(small, slopes)
    edges = (slopes > _EDGE).astype(np.uint8)
    for each in pictures:
        # A little more: a photo's own border is no line of text.
        edges[max(0, each.top - 4) : each.bottom + 4, max(0, each.left - 4) : each.right + 4] = 0
    pieces = _pieces(edges)
    buttons = _buttons(slopes, pieces)
    rest = _outside(pieces, buttons)
    for each in rest:
        if _is_switch(each, slopes):
            each.kind = ElementKind.ICON
    rest = _lines(_apart(_menus(rest)))
    texts = [each for each in rest if each.kind is ElementKind.TEXT]
    icons = [each for each in rest if each.kind is ElementKind.ICON]
    found = [*pictures, *buttons, *icons, *_blocks(texts)]
    found.sort(key=lambda each: (each.top // 12, each.left))
    return tuple(
        Element(
            number=number,
            kind=each.kind,
            box=Box(
                int(each.left * scale),
                int(each.top * scale),
                min(columns, round(each.right * scale)),
                min(rows, round(each.bottom * scale)),
            ),
        )
        for number, each in enumerate(found[:_MOST], start=1)
    )


def _components(mask: Mask) -> list[list[int]]:
    """[left, top, width, height, area] of each shape, and its label first."""
    _, _, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(
        mask, 8, cv2.CV_32S, cv2.CCL_GRANA
    )
    rows: list[list[int]] = stats[1:].tolist()
    return rows


def _pictures(small: Pixels, slopes: Mask) -> list[_Found]:
    """Photos and illustrations: where little is flat and the colours are many."""
    uneven = (slopes > _FLAT).astype(np.uint8)
    # Around each pixel; text leaves half of its surroundings flat, a photo hardly any of them.
    density = cv2.boxFilter(uneven, cv2.CV_16U, (_AROUND, _AROUND), normalize=False)
    lively = (np.asarray(density) >= _LIVELY * _AROUND**2).astype(np.uint8)
    lively = np.asarray(cv2.morphologyEx(lively, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)))
    lively = np.asarray(cv2.morphologyEx(lively, cv2.MORPH_OPEN, np.ones((21, 21), np.uint8)))
    found = []
    for left, top, width, height, area in _components(lively):
        if min(width, height) < _LEAST_PICTURE or area < 0.55 * width * height:
            continue
        # At a straight side a window of which two thirds are uneven has its middle a little inside.
        margin = round((_LIVELY - 0.5) * _AROUND)
        shape = _Found(
            ElementKind.PICTURE,
            max(0, left - margin),
            max(0, top - margin),
            min(small.shape[1], left + width + margin),
            min(small.shape[0], top + height + margin),
        )
        if _colourful(small[shape.top : shape.bottom, shape.left : shape.right]):
            found.append(shape)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
    return [_grown(each, [other for other in found if other is not each], grey) for each in found]


def _grown(shape: _Found, others: list[_Found], grey: Mask) -> _Found:
    """With the soft parts of the photo around its lively one: up to a straight edge on each side, if there is one."""
    grown = _Found(shape.kind, shape.left, shape.top, shape.right, shape.bottom)
    # No further than about its own size: what is beyond that is a card with words.
    wide, tall = int(0.8 * shape.width), int(0.8 * shape.height)
    rows = slice(shape.top, shape.bottom)
    grown.left -= _soft(grey[rows, max(0, shape.left - wide) : shape.left][:, ::-1])
    grown.right += _soft(grey[rows, shape.right : shape.right + wide])
    columns = slice(grown.left, grown.right)
    grown.top -= _soft(grey[max(0, shape.top - tall) : shape.top, columns][::-1].T)
    grown.bottom += _soft(grey[shape.bottom : shape.bottom + tall, columns].T)
    apart = all(
        other.left >= grown.right
        or other.right <= grown.left
        or other.top >= grown.bottom
        or other.bottom <= grown.top
        for other in others
    )
    return grown if apart else shape


def _soft(beyond: Mask) -> int:
    """How many columns beyond a photo's side still belong to it: they change from row to row, which the page does not,
    and end at an edge along most rows. 0 where no such edge comes: that is the page, or a gradient of it."""
    if beyond.shape[1] < 4 or beyond.shape[0] < 8:
        return 0
    some = beyond[:: max(1, beyond.shape[0] // 64)].astype(np.float32)
    even = some.std(axis=0) <= _PAGE
    # The page begins where three columns are even.
    ends = np.flatnonzero(even[:-2] & even[1:-1] & even[2:])
    if not ends.size or ends[0] < 3:
        return 0
    end = int(ends[0])
    steps = np.abs(some[:, end + 1] - some[:, end - 2])
    return end if float((steps >= _PAGE).mean()) >= 0.7 else 0


def _colourful(pixels: Pixels) -> bool:
    """Bold text has two of 4096 colours and those between them, and one of the two is the ground."""
    coarse = (pixels[::2, ::2] >> 4).astype(np.uint16)
    counts = np.bincount(
        (coarse[..., 0] << 8 | coarse[..., 1] << 4 | coarse[..., 2]).ravel(), minlength=4096
    )
    return (
        int(np.count_nonzero(counts)) >= _COLOURFUL
        and float(counts.max()) < _GROUND * coarse[..., 0].size
    )


def _pieces(edges: Mask) -> list[_Found]:
    """Lines of text, and icons: edges that stand close together."""
    found = [(box, 0, 0) for box in _joined(edges, 3, _WORDS)]
    # Lines that touch, then an avatar with the lines beside it: once more, each time less generously.
    for rows, gap in ((1, _WORDS), (3, _LETTERS)):
        again = []
        for box, x, y in found:
            left, top, width, height, area = box
            if height <= _TALL or area < 0.22 * width * height:
                again.append((box, x, y))
                continue
            part = edges[y + top : y + top + height, x + left : x + left + width]
            parts = _joined(part, rows, gap)
            if _letters(parts):
                again.append((box, x, y))
            else:
                again += [(each, x + left, y + top) for each in parts]
        found = again
    pieces = []
    for (left, top, width, height, area), x, y in found:
        if height < 5 or width < 5 or height > 90 or area < 20:
            continue
        # A frame around a card has a large box and hardly any area.
        square = 0.6 <= width / height <= 1.6
        if area < (0.08 if square else 0.22) * width * height and height > _TALL:
            continue
        kind = ElementKind.ICON if square and height >= 13 else ElementKind.TEXT
        if kind is ElementKind.TEXT and height > 60:
            continue
        pieces.append(_Found(kind, x + left, y + top, x + left + width, y + top + height))
    return pieces


def _letters(parts: list[list[int]]) -> bool:
    """Whether all of several parts are single letters, or two: then the whole was a line in large ones."""
    return len(parts) >= 4 and sum(each[2] > 2.2 * each[3] for each in parts) <= len(parts) // 8


def _joined(edges: Mask, rows: int, columns: int) -> list[list[int]]:
    """Components of what stands less than so many rows and columns apart."""
    joined = cv2.morphologyEx(
        np.ascontiguousarray(edges), cv2.MORPH_CLOSE, np.ones((rows, columns), np.uint8)
    )
    return _components(np.asarray(joined, np.uint8))


def _buttons(slopes: Mask, pieces: list[_Found]) -> list[_Found]:
    """Flat shapes of a button's size and proportions with something in their middle."""
    flat = (slopes <= _FLAT).astype(np.uint8)
    found = []
    for left, top, width, height, area in _components(flat):
        if not (18 <= height <= 84 and 1.4 * height <= width <= 0.97 * flat.shape[1]):
            continue
        # Its label takes some of it, its corners a little.
        if area < 0.45 * width * height:
            continue
        shape = _Found(ElementKind.BUTTON, left, top, left + width, top + height)
        inside = [each for each in pieces if shape.holds(each)]
        if not inside or len(inside) > 4:
            continue
        first, last = min(each.left for each in inside), max(each.right for each in inside)
        centred = abs((first - left) - (left + width - last)) <= 0.2 * width
        # A field to write in has its words at the left.
        field = width >= 4 * height >= 96 and first - left <= 1.2 * height
        tall = max(each.height for each in inside)
        if (centred or field) and tall <= 0.8 * height:
            found.append(shape)
    # The fill and the outline of one button are two shapes: the outer one stays.
    return [
        each
        for each in found
        if not any(other is not each and other.holds(each) for other in found)
    ]


def _outside(pieces: list[_Found], buttons: list[_Found]) -> list[_Found]:
    """Pieces that belong to no button: neither its label nor its outline, which makes the button as large as it is."""
    rest = []
    for piece in pieces:
        for button in buttons:
            if button.holds(piece):
                break
            if piece.holds(button) and piece.area <= 1.6 * button.area:
                button.left, button.top = min(button.left, piece.left), min(button.top, piece.top)
                button.right = max(button.right, piece.right)
                button.bottom = max(button.bottom, piece.bottom)
                break
        else:
            rest.append(piece)
    return rest


def _is_switch(piece: _Found, slopes: Mask) -> bool:
    """Two even parts, a knob and what it slides on, fill most of a switch; letters leave no such parts."""
    if not (13 <= piece.height <= 50 and 1.4 <= piece.width / piece.height <= 2.4):
        return False
    inside = slopes[piece.top + 1 : piece.bottom - 1, piece.left + 1 : piece.right - 1]
    areas = [
        each[4]
        for each in _components((inside <= _FLAT).astype(np.uint8))
        if each[4] >= 0.12 * inside.size and each[3] >= 0.5 * inside.shape[0]
    ]
    return len(areas) == 2 and sum(areas) >= 0.4 * inside.size


def _menus(pieces: list[_Found]) -> list[_Found]:
    """Short bars above one another are the sign of a menu, and other thin pieces are rules: letters are taller."""
    kept = [each for each in pieces if each.height >= _THIN]
    bars = sorted(
        (each for each in pieces if each.height < _THIN and each.width <= 56),
        key=lambda each: (each.left // 4, each.top),
    )
    for bar in bars:
        above = kept[-1] if kept else None
        if (
            above is not None
            and above.kind is ElementKind.ICON
            and abs(above.left - bar.left) <= 3
            and abs(above.right - bar.right) <= 3
            and 0 < bar.top - above.bottom <= 14
        ):
            above.bottom = bar.bottom
        else:
            kept.append(_Found(ElementKind.ICON, bar.left, bar.top, bar.right, bar.bottom))
    return [each for each in kept if each.height >= _THIN]


def _apart(pieces: list[_Found]) -> list[_Found]:
    """Without what is drawn inside a sign: an avatar's face is no element."""
    signs = [each for each in pieces if each.kind is ElementKind.ICON]
    return [
        each
        for each in pieces
        if not any(
            sign is not each and sign.area > each.area and sign.holds(each) for sign in signs
        )
    ]


def _lines(pieces: list[_Found]) -> list[_Found]:
    """Words of one line become one piece: large ones stand far apart, and a single letter may look like a sign."""
    lines: list[_Found] = []
    for piece in sorted(pieces, key=lambda each: each.left):
        for line in reversed(lines):
            words = piece.kind is line.kind is ElementKind.TEXT
            if not words and ElementKind.TEXT not in (piece.kind, line.kind):
                continue
            tall, low = max(piece.height, line.height), min(piece.height, line.height)
            shared = min(piece.bottom, line.bottom) - max(piece.top, line.top)
            near = (0.55 if words else 0.3) * tall
            if -2 <= piece.left - line.right <= near and shared >= 0.75 * low and tall <= 1.6 * low:
                line.kind = ElementKind.TEXT
                line.top, line.bottom = min(line.top, piece.top), max(line.bottom, piece.bottom)
                line.right = max(line.right, piece.right)
                break
        else:
            lines.append(piece)
    return lines


def _blocks(lines: list[_Found]) -> list[_Found]:
    """Lines of one paragraph become one block: same height, same left edge or centre, close together."""
    blocks: list[_Found] = []
    for line in sorted(lines, key=lambda each: (each.top, each.left)):
        for block in reversed(blocks[-12:]):
            gap = line.top - block.bottom
            close = -2 <= gap <= 0.75 * line.height
            alike = 0.6 <= line.height / max(1, _line_height(block, line)) <= 1.7
            overlap = min(block.right, line.right) - max(block.left, line.left)
            aligned = (
                abs(block.left - line.left) <= line.height
                or abs(block.left + block.right - line.left - line.right) <= 2 * line.height
            )
            if close and alike and aligned and overlap > 0:
                block.left, block.right = min(block.left, line.left), max(block.right, line.right)
                block.bottom = max(block.bottom, line.bottom)
                break
        else:
            blocks.append(_Found(line.kind, line.left, line.top, line.right, line.bottom))
    return blocks


def _line_height(block: _Found, line: _Found) -> int:
    """Of a block that has grown, its lines are as tall as the new one if they fit a whole number of times."""
    lines = max(1, round(block.height / (1.4 * line.height)))
    return block.height // lines
