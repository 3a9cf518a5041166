"""Drawn phones held across: Android's buttons at a side, a cutout's black band, an iPhone's home indicator; and what
only looks so.

screen = phone_across(random.Random(7))
screen.pixels, screen.left, screen.right, screen.bottom
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bench.pictures.screens import BRANDS, WORDS, finished, ink_on, wallpaper
from bench.pictures.signs import SIGNS, Colour, Spot, font_of

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Across:
    """`pixels` is RGB. A cut of the left, the right or the bottom is harmless up to so many pixels; a system's bar is
    there where that is more than 0."""

    pixels: NDArray[np.uint8]
    left: int
    right: int
    bottom: int
    kind: str


def phone_across(rng: random.Random) -> Across:
    """A phone held across, with something of the system at a side or at the bottom."""
    height = rng.choice((540, 720, 828, 1080, 1080, 1170, 1440))
    kind = rng.choice(("buttons", "buttons", "buttons and cutout", "cutout", "indicator"))
    ratio = rng.choice((2.164, 2.167)) if kind == "indicator" else rng.choice((16 / 9, 2.0, 20 / 9))
    width, unit = round(height * ratio), height / rng.randint(360, 430)
    colour = rng.choice(BRANDS)
    picture = Image.new("RGB", (width, height), colour)
    ink = ink_on(colour, rng)
    draw = ImageDraw.Draw(picture)
    # What an app has between the bars.
    for row in range(1, 7):
        words = " ".join(rng.choices(WORDS, k=rng.randint(3, 9)))
        draw.text((width * 0.2, row * 46 * unit), words, ink, font=font_of(15 * unit))
    if rng.random() < 0.4 and kind != "indicator":
        photo = wallpaper(rng, width, int(height * 0.5), smooth=False)
        picture.paste(photo, (0, int(height * 0.4)))
    left = right = bottom = 0
    if kind == "indicator":
        bottom = _indicator(draw, rng, width, height, ink)
        return _done(picture, rng, (0, 0, bottom), kind)
    _status_row(draw, rng, width, unit, ink)
    buttons_right = rng.random() < 0.75
    if "buttons" in kind:
        band = round(48 * unit)
        at = width - band if buttons_right else 0
        _buttons(draw, rng, at, band, height, unit)
        left, right = (0, band) if buttons_right else (band, 0)
    if "cutout" in kind:
        band = round(rng.uniform(24, 44) * unit)
        if buttons_right:
            draw.rectangle([0, 0, band - 1, height], fill=(0, 0, 0))
            left = band
        else:
            draw.rectangle([width - band, 0, width, height], fill=(0, 0, 0))
            right = band
    return _done(picture, rng, (left, right, 0), kind)


def _done(
    picture: Image.Image, rng: random.Random, bars: tuple[int, int, int], kind: str
) -> Across:
    screen = finished(picture, rng, 0, 0, kind)
    return Across(screen.pixels, *bars, screen.kind)


def _status_row(
    draw: ImageDraw.ImageDraw, rng: random.Random, width: int, unit: float, ink: Colour
) -> None:
    middle, size = 13 * unit, 13 * unit
    time = f"{rng.randint(1, 23)}:{rng.randint(0, 59):02d}"
    draw.text((64 * unit, middle), time, ink, font=font_of(size), anchor="lm")
    edge = width - 64 * unit
    for name in ("battery", "wifi", "triangle"):
        edge -= SIGNS[name](Spot(draw, edge, middle, size * 0.9, ink, rng)) + 5 * unit


def _buttons(
    draw: ImageDraw.ImageDraw, rng: random.Random, at: int, band: int, height: int, unit: float
) -> None:
    """Overview on top, home, back below: upright signs on a band of one colour."""
    ground, ink = rng.choice(
        (
            ((0, 0, 0), (255, 255, 255)), ((255, 255, 255), (95, 95, 95)), ((245, 245, 248), (60, 60, 60)),
            ((20, 20, 22), (180, 180, 180)),
        )
    )  # fmt: skip
    draw.rectangle([at, 0, at + band - 1, height], fill=ground)
    x, half, step = at + band / 2, rng.uniform(7, 9) * unit, height * rng.uniform(0.22, 0.3)
    filled = rng.random() < 0.6
    fill, stroke = (ink, 1) if filled else (None, max(2, round(1.8 * unit)))
    y = height / 2
    draw.ellipse([x - half, y - half, x + half, y + half], fill=fill, outline=ink, width=stroke)
    top = y - step
    draw.rectangle(
        [x - half, top - half, x + half, top + half], fill=fill, outline=ink, width=stroke
    )
    low = y + step
    corners = [(x - half, low), (x + half * 0.8, low - half), (x + half * 0.8, low + half)]
    if filled:
        draw.polygon(corners, fill=ink)
    else:
        draw.line([*corners, corners[0], corners[1]], fill=ink, width=stroke, joint="curve")


def _indicator(
    draw: ImageDraw.ImageDraw, rng: random.Random, width: int, height: int, ink: Colour
) -> int:
    """An iPhone's home indicator; gives the rows below the last content."""
    point = height / 390
    long, thick = width * rng.uniform(0.245, 0.262), 5 * point
    bottom = height - 8 * point
    box = [width / 2 - long / 2, bottom - thick, width / 2 + long / 2, bottom]
    draw.rounded_rectangle(box, thick / 2, fill=ink)
    return round(21 * point)


def not_across(rng: random.Random) -> Across:
    """Pictures as wide as a phone held across whose sides and bottom are content."""
    height = rng.choice((540, 720, 1080))
    width = round(height * rng.choice((16 / 9, 2.0, 2.165, 20 / 9)))
    unit = height / 400
    kind = rng.choice(
        ("letterboxed video", "player", "game", "slide", "photo", "page", "rounded player")
    )
    if kind == "letterboxed video":
        picture = Image.new("RGB", (width, height), (0, 0, 0))
        band = int(width * rng.uniform(0.05, 0.14))
        picture.paste(wallpaper(rng, width - 2 * band, height, smooth=False), (band, 0))
    elif kind in ("slide", "page"):
        picture = Image.new("RGB", (width, height), rng.choice(BRANDS))
    else:
        picture = wallpaper(rng, width, height, smooth=kind == "photo")
    draw = ImageDraw.Draw(picture)
    ink = rng.choice(((255, 255, 255), (20, 20, 20)))
    if kind in ("player", "game"):
        # Controls one above another at the right: three, of other shapes or not in a band of their own.
        x, half = width - 30 * unit, 10 * unit
        for number in range(3):
            y = height * (0.25 + 0.25 * number)
            shape = rng.choice((draw.ellipse, draw.rectangle))
            shape([x - half, y - half, x + half, y + half], fill=ink)
        seek = height - rng.uniform(8, 24) * unit
        draw.rectangle([width * 0.05, seek, width * 0.95, seek + 3 * unit], fill=ink)
    if kind == "page":
        _page(draw, rng, width, height, unit)
    if kind == "rounded player":
        # A seek bar with round ends, what was seen in another tone, and a knob; or a pill that says where one is.
        long, thick = width * rng.uniform(0.12, 0.5), rng.uniform(3, 8) * unit
        low, x = height - rng.uniform(6, 26) * unit, width * rng.choice((0.5, 0.5, 0.3))
        box = [x - long / 2, low - thick, x + long / 2, low]
        draw.rounded_rectangle(
            box, thick / 2, fill=rng.choice(((230, 40, 60), (120, 120, 120), ink))
        )
        done = x + long * rng.uniform(-0.4, 0.4)
        draw.ellipse([done - thick, low - 1.5 * thick, done + thick, low + thick / 2], fill=ink)
    if kind == "slide":
        for row in range(1, 6):
            words = " ".join(rng.choices(WORDS, k=5))
            draw.text(
                (width / 2, row * 60 * unit), words, ink, font=font_of(20 * unit), anchor="mm"
            )
        # A ruler below the last line: as long as an indicator, but square, or of another colour.
        half, y = width * rng.uniform(0.1, 0.14), height - rng.uniform(8, 14) * unit
        draw.rectangle([width / 2 - half, y - 3 * unit, width / 2 + half, y + 2 * unit], fill=ink)
    return _done(picture, rng, (0, 0, 0), kind)


def _page(
    draw: ImageDraw.ImageDraw, rng: random.Random, width: int, height: int, unit: float
) -> None:
    """A web page or a slide show: a footer's band, or a row of dots or dashes that says which page it is."""
    ink = (90, 90, 96)
    for row in range(1, 7):
        words = " ".join(rng.choices(WORDS, k=7))
        draw.text((width * 0.1, row * 44 * unit), words, ink, font=font_of(15 * unit))
    low = height - rng.uniform(7, 16) * unit
    if rng.random() < 0.5:
        draw.rectangle([0, height - 30 * unit, width, height], fill=(40, 44, 52))
        # Of a colour: a grey pill of an indicator's size and place nobody could tell from one.
        half, tint = width * rng.uniform(0.05, 0.25), rng.choice([*BRANDS[4:8], *BRANDS[9:]])
        box = [width / 2 - half, low - 5 * unit, width / 2 + half, low]
        draw.rounded_rectangle(box, 2.5 * unit, fill=tint)
        return
    for number in range(-2, 3):
        x, half = width / 2 + number * 22 * unit, (9 if number == 0 else 3) * unit
        draw.rounded_rectangle([x - half, low - 5 * unit, x + half, low], 2.5 * unit, fill=ink)
