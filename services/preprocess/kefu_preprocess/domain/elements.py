"""The elements of a screen, for Set-of-Mark prompting (Yang et al., arXiv:2310.11441), without any OCR.

Everything happens on a copy 540 pixels wide, so that sizes mean the same on every phone and a 1080×2400 shot takes
20 ms: pictures are where many colours change all the time, buttons are flat shapes with a label in them, text and icons
are the edges that remain, grouped into lines and blocks.
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
_CELL = 12
_COLOURFUL = 30

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
        edges[each.top : each.bottom, each.left : each.right] = 0
    pieces = _pieces(edges)
    buttons = _buttons(slopes, pieces)
    rest = [each for each in pieces if not any(button.holds(each) for button in buttons)]
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
    """Photos and illustrations: cells where little is flat and the colours are many, run together."""
    rows, columns = small.shape[0] // _CELL, small.shape[1] // _CELL
    if rows < 3 or columns < 3:
        return []
    cells = slopes[: rows * _CELL, : columns * _CELL].reshape(rows, _CELL, columns, _CELL)
    flat = (cells <= _FLAT).mean(axis=(1, 3))
    # Text leaves half of a cell flat; a photo hardly any of it.
    lively = (flat < 0.34).astype(np.uint8)
    lively = np.asarray(cv2.morphologyEx(lively, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)))
    lively = np.asarray(cv2.morphologyEx(lively, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)))
    found = []
    for left, top, width, height, area in _components(lively):
        if area < 12 or min(width, height) < 3 or area < 0.55 * width * height:
            continue
        shape = _Found(
            ElementKind.PICTURE,
            left * _CELL,
            top * _CELL,
            (left + width) * _CELL,
            (top + height) * _CELL,
        )
        if _colours(small[shape.top : shape.bottom, shape.left : shape.right]) >= _COLOURFUL:
            found.append(shape)
    return found


def _colours(pixels: Pixels) -> int:
    """How many of 4096 colours: bold text has two and the greys between them."""
    coarse = (pixels >> 4).astype(np.uint16)
    return int(np.unique(coarse[..., 0] << 8 | coarse[..., 1] << 4 | coarse[..., 2]).size)


def _pieces(edges: Mask) -> list[_Found]:
    """Lines of text, and icons: edges that stand close together."""
    joined = cv2.morphologyEx(edges, cv2.MORPH_CLOSE, np.ones((3, 11), np.uint8))
    found = []
    for left, top, width, height, area in _components(np.asarray(joined)):
        if height < 5 or width < 5 or height > 90 or area < 20:
            continue
        # A frame around a card has a large box and hardly any area.
        if area < 0.22 * width * height and height > 30:
            continue
        square = 0.6 <= width / height <= 1.6
        kind = ElementKind.ICON if square and height >= 13 else ElementKind.TEXT
        if kind is ElementKind.TEXT and height > 60:
            continue
        found.append(_Found(kind, left, top, left + width, top + height))
    return found


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
        tall = max(each.height for each in inside)
        if centred and tall <= 0.8 * height:
            found.append(shape)
    # The fill and the outline of one button are two shapes: the outer one stays.
    return [
        each
        for each in found
        if not any(other is not each and other.holds(each) for other in found)
    ]


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
