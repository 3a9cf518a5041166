"""The pictograms of a status bar, drawn for the bench and the tests: each ends at `edge` and gives its width."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from PIL import ImageDraw, ImageFont

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def font_of(points: float) -> Font:
    return ImageFont.load_default(max(6.0, points))


class Spot(NamedTuple):
    """Where a sign goes, in pixels: it ends at `edge`, is `tall`, and `middle` is its vertical centre."""

    draw: ImageDraw.ImageDraw
    edge: float
    middle: float
    tall: float
    ink: Colour
    rng: random.Random


Sign = Callable[[Spot], float]


def words_at(at: Spot, words: str, part: float = 1.0) -> float:
    """Letters `part` as tall as the row's."""
    draw, edge, middle, tall, ink, _ = at
    font = font_of(tall * 1.05 * part)
    box = draw.textbbox((0, 0), words, font=font)
    draw.text((edge - box[2], middle - (box[1] + box[3]) / 2), words, ink, font=font)
    return box[2] - box[0]


def _battery(at: Spot) -> float:
    draw, edge, middle, tall, ink, rng = at
    wide = tall * rng.uniform(1.9, 2.2)
    half = tall * 0.47
    left, right = edge - wide, edge - tall * 0.16
    line = max(1, round(tall / 12))
    case = [left, middle - half, right, middle + half]
    if rng.random() < 0.4:
        draw.rounded_rectangle(case, tall * 0.25, fill=ink)
    else:
        draw.rounded_rectangle(case, tall * 0.25, outline=ink, width=line)
        full = left + 2 * line + (right - left - 4 * line) * rng.uniform(0.2, 1.0)
        inside = [left + 2 * line, middle - half + 2 * line, full, middle + half - 2 * line]
        draw.rounded_rectangle(inside, tall * 0.12, fill=ink)
    draw.rectangle(
        [right + line, middle - tall * 0.15, right + line + tall * 0.08, middle + tall * 0.15],
        fill=ink,
    )
    return wide


def _upright(at: Spot) -> float:
    draw, edge, middle, tall, ink, _ = at
    wide = tall * 0.56
    top, bottom = middle - tall / 2, middle + tall / 2
    draw.rectangle([edge - wide * 0.7, top, edge - wide * 0.3, top + tall * 0.12], fill=ink)
    draw.rounded_rectangle([edge - wide, top + tall * 0.09, edge, bottom], tall * 0.08, fill=ink)
    return wide


def _fan(at: Spot) -> float:
    draw, edge, middle, tall, ink, _ = at
    radius = tall
    centre = edge - radius * 0.72
    base = middle + tall / 2
    draw.pieslice(
        [centre - radius, base - radius, centre + radius, base + radius], 226, 314, fill=ink
    )
    return radius * 1.44


def _wifi(at: Spot) -> float:
    draw, edge, middle, tall, ink, _ = at
    base, centre = middle + tall / 2, edge - tall * 0.72
    width = max(1, round(tall * 0.19))
    for radius in (tall, tall * 0.66):
        draw.arc(
            [centre - radius, base - radius, centre + radius, base + radius],
            226,
            314,
            fill=ink,
            width=width,
        )
    radius = tall * 0.33
    draw.pieslice(
        [centre - radius, base - radius, centre + radius, base + radius], 226, 314, fill=ink
    )
    return tall * 1.44


def _triangle(at: Spot) -> float:
    draw, edge, middle, tall, ink, _ = at
    draw.polygon(
        [(edge - tall, middle + tall / 2), (edge, middle - tall / 2), (edge, middle + tall / 2)],
        fill=ink,
    )
    return tall


def _bars(at: Spot) -> float:
    draw, edge, middle, tall, ink, _ = at
    step = tall * 0.4
    for number in range(4):
        left = edge - (4 - number) * step
        height = tall * (0.38 + 0.62 * number / 3)
        draw.rounded_rectangle(
            [left, middle + tall / 2 - height, left + step * 0.6, middle + tall / 2],
            step * 0.15,
            fill=ink,
        )
    return step * 4


def _bell(at: Spot) -> float:
    draw, edge, middle, tall, ink, _ = at
    draw.ellipse(
        [edge - tall * 0.8, middle - tall * 0.4, edge, middle + tall * 0.4],
        outline=ink,
        width=max(1, int(tall / 8)),
    )
    draw.line(
        [edge - tall * 0.8, middle - tall * 0.4, edge, middle + tall * 0.4],
        fill=ink,
        width=max(1, int(tall / 9)),
    )
    return tall * 0.8


def _percent(at: Spot) -> float:
    return words_at(at, f"{at.rng.randint(3, 100)}%")


SIGNS: dict[str, Sign] = {
    "battery": _battery, "upright": _upright, "fan": _fan, "wifi": _wifi, "triangle": _triangle,
    "bars": _bars, "bell": _bell, "percent": _percent,
}  # fmt: skip
