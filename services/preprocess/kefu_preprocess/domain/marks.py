"""Drawing the elements' numbers on a picture, for Set-of-Mark prompting (Yang et al., arXiv:2310.11441).

A number must be read and must not hide what anyone would read: it goes where it covers least, first beside its box.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from kefu_preprocess.domain.decode import Pixels
from kefu_preprocess.domain.values import Box, Element

Colour = tuple[int, int, int]

# Okabe and Ito's palette (2008): told apart by colour-blind people.
COLOURS: tuple[Colour, ...] = (
    (213, 94, 0),
    (0, 114, 178),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
# What covering costs, a pixel: another number, another element, the element itself, where the picture ends.
_NUMBER, _OTHER, _OWN, _OUTSIDE = 40.0, 3.0, 1.0, 100.0


def draw_marks(
    pixels: Pixels, elements: Sequence[Element], origin: tuple[int, int], scale: tuple[float, float]
) -> Pixels:
    """A copy of the RGB picture with a box and a number for each element.

    Boxes are in pixels of the original; `origin` is the (left, top) of `pixels` in it, and `scale` how many pixels of
    `pixels` one of its pixels is, across and down.
    """
    canvas = pixels.copy()
    rows, columns = canvas.shape[:2]
    size = max(0.4, min(rows, columns) / 1300)
    thick = max(1, round(size * 1.6))
    boxes = [_here(each.box, origin, scale, rows, columns) for each in elements]
    extents = [cv2.getTextSize(str(each.number), _FONT, size, thick) for each in elements]
    labels = place_labels(
        boxes, [(wide + 5, tall + 6) for (wide, tall), _ in extents], (columns, rows)
    )
    for element, box in zip(elements, boxes, strict=True):
        corners = (box.left, box.top), (box.right, box.bottom)
        cv2.rectangle(canvas, *corners, _colour(element), max(1, round(size * 2)))
    for element, label in zip(elements, labels, strict=True):
        colour = _colour(element)
        corners = (label.left, label.top), (label.right - 1, label.bottom - 1)
        cv2.rectangle(canvas, *corners, colour, -1)
        place = (label.left + 3, label.bottom - 4)
        cv2.putText(
            canvas, str(element.number), place, _FONT, size, ink_on(colour), thick, cv2.LINE_AA
        )
    return canvas


def _colour(element: Element) -> Colour:
    return COLOURS[(element.number - 1) % len(COLOURS)]


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever has more contrast by the relative luminance of WCAG 2.2."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (each / 255 for each in colour)
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    # White wins below the geometric mean of what black and white reach.
    return (255, 255, 255) if (luminance + 0.05) ** 2 < 1.05 * 0.05 else (0, 0, 0)


def _here(
    box: Box, origin: tuple[int, int], scale: tuple[float, float], rows: int, columns: int
) -> Box:
    return Box(
        round((box.left - origin[0]) * scale[0]),
        round((box.top - origin[1]) * scale[1]),
        min(columns - 1, round((box.right - origin[0]) * scale[0])),
        min(rows - 1, round((box.bottom - origin[1]) * scale[1])),
    )


def place_labels(
    boxes: Sequence[Box], sizes: Sequence[tuple[int, int]], picture: tuple[int, int]
) -> list[Box]:
    """Where each number goes, in order: where it covers least of numbers, other boxes, its own box. `sizes` and
    `picture` are (width, height); of equally good places the first one, above its box's left corner."""
    others = np.array([_edges(each) for each in boxes], np.float32).reshape(-1, 4)
    placed: NDArray[np.float32] = np.zeros((0, 4), np.float32)
    labels = []
    for index, (box, (wide, tall)) in enumerate(zip(boxes, sizes, strict=True)):
        places = _places(box, wide, tall, picture)
        costs = [
            _NUMBER * _covered(place, placed)
            + _OTHER * (_covered(place, others) - _covered(place, others[index : index + 1]))
            + _OWN * _covered(place, others[index : index + 1])
            + _OUTSIDE * _outside(place, picture)
            for place in places
        ]
        best = places[int(np.argmin(costs))]
        labels.append(best)
        placed = np.concatenate((placed, np.array([_edges(best)], np.float32)))
    return labels


def _places(box: Box, wide: int, tall: int, picture: tuple[int, int]) -> list[Box]:
    """Around the box, then inside its corners; all of them are moved into the picture where they stick out a little."""
    left, right = min(box.left, picture[0] - wide), max(0, box.right - wide)
    middle = (box.top + box.bottom - tall) // 2
    corners = (
        (left, box.top - tall),
        (right, box.top - tall),
        (left, box.bottom + 1),
        (right, box.bottom + 1),
        (box.left - wide, middle),
        (box.right + 1, middle),
        (right, box.top),
        (right, box.bottom - tall),
        (left, box.top),
    )
    return [Box(x, y, x + wide, y + tall) for x, y in corners]


def _edges(box: Box) -> tuple[int, int, int, int]:
    return box.left, box.top, box.right, box.bottom


def _covered(place: Box, boxes: NDArray[np.float32]) -> float:
    """Pixels of `place` that lie on boxes; twice where two of them overlap."""
    wide = np.minimum(boxes[:, 2], place.right) - np.maximum(boxes[:, 0], place.left)
    tall = np.minimum(boxes[:, 3], place.bottom) - np.maximum(boxes[:, 1], place.top)
    return float((np.maximum(0, wide) * np.maximum(0, tall)).sum())


def _outside(place: Box, picture: tuple[int, int]) -> float:
    area = (place.right - place.left) * (place.bottom - place.top)
    whole = np.array([[0, 0, *picture]], np.float32)
    return area - _covered(place, whole)
