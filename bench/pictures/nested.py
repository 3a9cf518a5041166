"""Drawn pictures that hold a phone's screenshot, as customers send them, and such that hold something else.

picture = nested(random.Random(7))
picture.pixels, picture.share
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bench.pictures.screens import BRANDS, WORDS, finished, phone_screen, wallpaper
from bench.pictures.signs import font_of


@dataclass(frozen=True, slots=True)
class Nested:
    """`pixels` is RGB; `share` is how much of it a screenshot inside covers, 0 where there is none."""

    pixels: NDArray[np.uint8]
    share: float
    kind: str


def nested(rng: random.Random) -> Nested:
    """A chat or a gallery's viewer with a whole screenshot in it."""
    return _placed(rng, _screenshot(rng), "screenshot")


def not_nested(rng: random.Random) -> Nested:
    """The same with a photo, with a screenshot whose status bar was cut off, or with a card of words."""
    kind = rng.choice(("photo", "cropped screenshot", "card"))
    if kind == "photo":
        inside = wallpaper(rng, 900, rng.choice((1200, 1600)), smooth=False)
    elif kind == "card":
        inside = Image.new("RGB", (900, 1400), rng.choice(BRANDS))
        draw = ImageDraw.Draw(inside)
        draw.text((30, 30), f"{rng.randint(1, 23)}:{rng.randint(0, 59):02d}", "gray", font_of(40))
        for row in range(1, 12):
            words = " ".join(rng.choices(WORDS, k=4))
            draw.text((30, 30 + row * 90), words, "gray", font_of(40))
    else:
        inside = _screenshot(rng)
        inside = inside.crop((0, inside.width // 5, inside.width, inside.height))
    picture = _placed(rng, inside, kind)
    return Nested(picture.pixels, 0.0, picture.kind)


def letterboxed(rng: random.Random, *, screen: bool) -> Nested:
    """A viewer whose picture, a screenshot or (`screen` false) a photo, fills the whole width between two bands."""
    width = rng.choice((828, 1080, 1080, 1290))
    height = int(width * rng.choice((19.5 / 9, 20 / 9, 21 / 9)))
    while True:
        inside = (
            _screenshot(rng)
            if screen
            else wallpaper(rng, 900, rng.choice((1200, 1600)), smooth=False)
        )
        inside = inside.resize((width, int(width * inside.height / inside.width)))
        if inside.height < 0.93 * height:
            break
        height = int(inside.height * rng.uniform(1.1, 1.35))
    ground = rng.choice(((0, 0, 0), (0, 0, 0), (18, 18, 20), (255, 255, 255)))
    picture = Image.new("RGB", (width, height), ground)
    top = (height - inside.height) // 2 - int(rng.uniform(0, 0.04) * height)
    picture.paste(inside, (0, top))
    draw, signs = ImageDraw.Draw(picture), "gray"
    draw.text((width * 0.06, top * 0.4), "<", signs, font_of(width / 20))
    draw.text((width * 0.8, top * 0.4), "...", signs, font_of(width / 20))
    kind = f"viewer full width, {'screenshot' if screen else 'photo'}"
    share = inside.height / height if screen else 0.0
    return Nested(finished(picture, rng, 0, 0, kind).pixels, share, kind)


def _screenshot(rng: random.Random) -> Image.Image:
    while True:
        screen = phone_screen(rng)
        if screen.pixels.shape[0] > 1.5 * screen.pixels.shape[1] >= 1000:
            return Image.fromarray(screen.pixels)


def _placed(rng: random.Random, inside: Image.Image, what: str) -> Nested:
    width = rng.choice((828, 1080, 1080, 1290))
    height = int(width * rng.choice((2.0, 19.5 / 9, 20 / 9)))
    where = rng.choice(("chat", "viewer"))
    ground = (
        (0, 0, 0)
        if where == "viewer"
        else rng.choice(((237, 237, 237), (245, 245, 250), (25, 25, 28)))
    )
    picture = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(picture)
    scale = rng.uniform(0.62, 0.86) if where == "viewer" else rng.uniform(0.38, 0.6)
    size = (int(width * scale), int(width * scale * inside.height / inside.width))
    inside = inside.resize(size, Image.Resampling.LANCZOS)
    if where == "viewer":
        left, top = (width - size[0]) // 2, max(0, (height - size[1]) // 2)
    else:
        left = rng.choice((int(width * 0.14), int(width * 0.86) - size[0]))
        top = int(height * rng.uniform(0.12, 0.2))
        for y in (height * 0.05, height * 0.09):
            draw.text(
                (width * 0.15, y), " ".join(rng.choices(WORDS, k=3)), "gray", font_of(width / 28)
            )
    mask = Image.new("L", size, 0)
    corner = 0 if where == "viewer" else rng.choice((0, width // 90, width // 45))
    ImageDraw.Draw(mask).rounded_rectangle([0, 0, size[0] - 1, size[1] - 1], corner, fill=255)
    picture.paste(inside, (left, top), mask)
    seen = min(size[1], height - top)
    screen = finished(picture, rng, 0, 0, f"{where}, {what}")
    return Nested(screen.pixels, size[0] * seen / (width * height), screen.kind)
