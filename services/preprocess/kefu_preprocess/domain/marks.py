"""Drawing the elements' numbers on a picture, for Set-of-Mark prompting."""

from __future__ import annotations

from collections.abc import Sequence

import cv2

from kefu_preprocess.domain.decode import Pixels
from kefu_preprocess.domain.values import Element

# Okabe and Ito's palette (2008): told apart by colour-blind people, and readable under white or black digits.
_COLOURS = (
    (213, 94, 0),
    (0, 114, 178),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
)


def draw_marks(
    pixels: Pixels, elements: Sequence[Element], origin: tuple[int, int], scale: tuple[float, float]
) -> Pixels:
    """A copy of the RGB picture with a box and a number for each element.

    Boxes are in pixels of the original; `origin` is the (left, top) of `pixels` in it, and `scale` how many pixels of
    `pixels` one of its pixels is, across and down.
    """
    canvas = pixels.copy()
    rows, columns = canvas.shape[:2]
    size = max(0.35, min(rows, columns) / 1400)
    thick = max(1, round(size * 2))
    for element in elements:
        colour = _COLOURS[(element.number - 1) % len(_COLOURS)]
        left = round((element.box.left - origin[0]) * scale[0])
        top = round((element.box.top - origin[1]) * scale[1])
        right = min(columns - 1, round((element.box.right - origin[0]) * scale[0]))
        bottom = min(rows - 1, round((element.box.bottom - origin[1]) * scale[1]))
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, thick)
        text = str(element.number)
        (wide, tall), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thick)
        # Above the box where there is room: a number inside hides what it names.
        line = top - 2 if top > tall + base + 4 else min(rows - 1, bottom + tall + base + 2)
        x = max(0, min(left, columns - wide - 4))
        cv2.rectangle(canvas, (x, line - tall - base), (x + wide + 4, line), colour, -1)
        cv2.putText(
            canvas,
            text,
            (x + 2, line - base + 1),
            cv2.FONT_HERSHEY_SIMPLEX,
            size,
            (255, 255, 255),
            thick,
            cv2.LINE_AA,
        )
    return canvas
