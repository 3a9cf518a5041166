"""Drawn screens with known truth: phones and tablets of many designs with a status bar, and pictures that only look so.

    screen = phone_screen(random.Random(7))
    screen.pixels, screen.icons_bottom, screen.content_top

Nothing here is shared with the detector, which draws its own shapes: what both get wrong would not be found.
"""

from __future__ import annotations

import io
import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from bench.pictures.signs import SIGNS, Colour, Spot, font_of

WORDS = tuple(
    "Orders Settings Inbox Search Profile Delivery Account Messages Photos Refund Today Invoice Wallet Coupon "  # noqa: SIM905
    "Favourites Details Payment Network Support History Battery Storage Display".split()
)
BRANDS: tuple[Colour, ...] = (
    (255, 255, 255), (250, 248, 252), (18, 18, 20), (0, 0, 0), (33, 150, 243), (103, 58, 183),
    (0, 150, 136), (244, 81, 30), (236, 239, 241), (27, 94, 32), (183, 28, 28), (48, 63, 159),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Screen:
    """`pixels` is RGB. A crop anywhere from `icons_bottom` to `content_top` (rows) is harmless; both are 0 where there
    is no bar and nothing may be cut. `kind` says which design it is."""

    pixels: NDArray[np.uint8]
    icons_bottom: int
    content_top: int
    kind: str


@dataclass(frozen=True, slots=True)
class _Design:
    kind: str
    bar: float  # all in points
    middle: float
    text: float
    margin: float
    clock: str
    portrait: bool = True


_DESIGNS = (
    _Design("android", 24, 12, 12.5, 8, "left"),
    _Design("android pixel", 28, 15, 13, 22, "left"),
    _Design("android cutout", 40, 21, 13.5, 24, "left"),
    _Design("android right clock", 25, 12.5, 13, 6, "right"),
    _Design("android centre clock", 26, 13, 12.5, 12, "centre"),
    _Design("ios classic", 20, 10, 12, 6, "centre"),
    _Design("ios notch", 47, 26, 17, 32, "left"),
    _Design("ios island", 59, 32, 17, 48, "left"),
    _Design("ipad", 24, 12, 12, 16, "left"),
    _Design("landscape phone", 25, 13, 13, 40, "left", portrait=False),
)


def ink_on(colour: Colour, rng: random.Random) -> Colour:
    light = 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] > 140
    tone = rng.choice((0, 20, 70)) if light else rng.choice((255, 235, 200))
    return (tone, tone, tone)


def phone_screen(rng: random.Random) -> Screen:
    """A screenshot with a status bar."""
    design = rng.choice(_DESIGNS)
    if design.kind == "ipad":
        width, height, points = rng.choice(
            ((1536, 2048, 768), (1640, 2360, 820), (1668, 2388, 834))
        )
        if rng.random() < 0.4:
            width, height = height, width
            points = points * width // height
    elif design.portrait:
        width = rng.choice((360, 480, 540, 720, 828, 1080, 1080, 1170, 1179, 1290, 1440))
        height = int(width * rng.choice((16 / 9, 2.0, 19.5 / 9, 20 / 9)))
        points = rng.randint(360, 430)
    else:
        height = rng.choice((720, 1080, 1440))
        width = int(height * rng.choice((16 / 9, 2.0, 20 / 9)))
        points = int(rng.randint(360, 430) * width / height)
    unit = width / points
    background = rng.choice(BRANDS)
    picture = Image.new("RGB", (width, height), background)
    behind = "plain"
    if rng.random() < 0.25:
        behind = rng.choice(("gradient", "wallpaper"))
        picture = wallpaper(rng, width, height, smooth=behind == "gradient")
        background = mean(picture.crop((0, 0, width, int(design.bar * unit))))
    ink = ink_on(background, rng)
    draw = ImageDraw.Draw(picture)
    top, bottom = _bar(draw, rng, design, width, unit, ink)
    bar = round(design.bar * unit)
    if design.kind == "ios island" and rng.random() < 0.5 and background != (0, 0, 0):
        pill = [width / 2 - 63 * unit, 11 * unit, width / 2 + 63 * unit, 48 * unit]
        draw.rounded_rectangle(pill, 18 * unit, fill=(0, 0, 0))
        top, bottom = min(top, round(11 * unit)), max(bottom, round(48 * unit))
    first = content(picture, rng, bar, unit, behind == "plain", ink)
    if rng.random() < 0.5 and design.portrait:
        handle(picture, rng, unit, ink)
    return finished(picture, rng, bottom + 1, first, f"{design.kind}, {behind}")


def _bar(
    draw: ImageDraw.ImageDraw,
    rng: random.Random,
    design: _Design,
    width: int,
    unit: float,
    ink: Colour,
) -> tuple[int, int]:
    """Draws the row; gives its first and last rows."""
    middle, size = design.middle * unit, design.text * unit
    time = f"{rng.randint(1, 23)}:{rng.randint(0, 59):02d}"
    if rng.random() < 0.15 and design.clock != "centre":
        time += rng.choice((" AM", " PM"))
    if design.kind == "ipad":
        time += "  Mon Jun 3"
    stroke = rng.choice((0, 0, size / 30))
    font = font_of(size * 1.05)
    box = draw.textbbox((0, 0), time, font=font, stroke_width=stroke)
    text_width, centre = box[2] - box[0], (box[1] + box[3]) / 2
    margin = design.margin * unit
    right = width - margin
    rows: list[float] = []

    def text(left: float, words: str) -> float:
        draw.text((left - box[0], middle - centre), words, ink, font=font, stroke_width=stroke)
        drawn = draw.textbbox(
            (left - box[0], middle - centre), words, font=font, stroke_width=stroke
        )
        rows.extend((drawn[1], drawn[3]))
        return drawn[2]

    def sign(name: str, edge: float) -> float:
        """Draws a sign that ends at `edge`; gives where the next one ends."""
        tall = size * rng.uniform(0.78, 1.0)
        wide = SIGNS[name](Spot(draw, edge, middle, tall, ink, rng))
        rows.extend((middle - tall / 2, middle + tall / 2))
        return edge - wide - size * rng.uniform(0.3, 0.5)

    signs = rng.choice((
        ["battery", "wifi", "bars"], ["upright", "triangle", "fan"], ["battery", "percent", "fan", "bell"],
        ["upright", "percent", "triangle", "wifi", "bell"], ["battery", "bars", "wifi"], ["battery", "wifi"],
    ))  # fmt: skip
    if design.clock == "left":
        end = text(margin, time)
        for _ in range(rng.choice((0, 0, 1, 2)) if design.kind.startswith("android") else 0):
            end += size * 1.6
            sign("bell", end)
    elif design.clock == "centre":
        text((width - text_width) / 2, time)
        left_signs = [signs.pop()] if len(signs) > 1 else []
        for name in left_signs:
            sign(name, margin + size * 1.6)
    else:
        right = right - text_width
        text(right, time)
        right -= size * 0.4
    for name in signs:
        right = sign(name, right)
    return int(min(rows)), int(max(rows)) + 1


def content(
    picture: Image.Image, rng: random.Random, bar: int, unit: float, plain: bool, ink: Colour
) -> int:
    """Draws what an app shows below its bar; gives the first row that must stay."""
    draw = ImageDraw.Draw(picture)
    width, height = picture.size
    kind = rng.choice(("title", "title", "band", "photo", "card"))
    first = bar
    if kind == "band" and plain:
        draw.rectangle([0, bar, width, bar + int(56 * unit)], fill=rng.choice(BRANDS))
    if kind == "photo":
        picture.paste(wallpaper(rng, width, int(200 * unit), smooth=False), (0, bar))
        return bar
    if kind == "card":
        top = bar + int(rng.uniform(2, 14) * unit)
        draw.rounded_rectangle(
            [8 * unit, top, width - 8 * unit, top + 90 * unit], 10 * unit, fill=(128, 140, 150)
        )
        return top
    size = rng.uniform(17, 24) * unit
    top = int(first + rng.uniform(6, 18) * unit)
    draw.text((16 * unit, top), rng.choice(WORDS), ink, font=font_of(size))
    box = draw.textbbox((16 * unit, top), "Orders", font=font_of(size))
    for row in range(1, 12):
        y = top + row * 44 * unit
        if y < height - 60 * unit:
            words = " ".join(rng.choices(WORDS, k=4))
            draw.text((16 * unit, y), words, ink, font=font_of(13 * unit))
    return int(box[1]) if not (kind == "band" and plain) else bar + int(box[1] - bar)


def handle(picture: Image.Image, rng: random.Random, unit: float, ink: Colour) -> None:
    """Draws a gesture handle at the bottom."""
    width, height = picture.size
    half = width * rng.uniform(0.13, 0.18)
    y = height - rng.uniform(8, 10) * unit
    ImageDraw.Draw(picture).rounded_rectangle(
        [width / 2 - half, y - 2 * unit, width / 2 + half, y + 2 * unit], 2 * unit, fill=ink
    )


def wallpaper(rng: random.Random, width: int, height: int, *, smooth: bool) -> Image.Image:
    """A few coarse random colours, enlarged: soft like a gradient or lively like a photo."""
    cells = (3, 4) if smooth else (9, 14)
    seeds = np.random.default_rng(rng.randrange(2**32)).integers(30, 226, (cells[1], cells[0], 3))
    small = Image.fromarray(seeds.astype(np.uint8))
    return small.resize((max(1, width), max(1, height)), Image.Resampling.BICUBIC)


def mean(picture: Image.Image) -> Colour:
    """A picture's mean colour."""
    red, green, blue = np.asarray(picture).reshape(-1, 3).mean(axis=0)
    return int(red), int(green), int(blue)


def finished(picture: Image.Image, rng: random.Random, icons: int, first: int, kind: str) -> Screen:
    """As a file would bring it: sharp, or through JPEG."""
    if rng.random() < 0.4:
        sink = io.BytesIO()
        picture.save(sink, "JPEG", quality=rng.choice((60, 75, 90)))
        picture = Image.open(sink)
        kind += ", jpeg"
    elif rng.random() < 0.1:
        picture = picture.filter(ImageFilter.GaussianBlur(0.6))
    return Screen(np.array(picture.convert("RGB")), icons, first, kind)
