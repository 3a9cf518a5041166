"""Drawn pictures that look as if they had a status bar, and have none: nothing may be cut off them.

screen = lookalike(random.Random(7))
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from bench.pictures.makers import maker_screen
from bench.pictures.screens import (
    BRANDS,
    WORDS,
    Screen,
    finished,
    ink_on,
    phone_screen,
    wallpaper,
)
from bench.pictures.signs import SIGNS, Spot, font_of

Drawn = tuple[Image.Image, str]


def lookalike(rng: random.Random) -> Screen:
    """A picture without a status bar."""
    picture, kind = rng.choice(_KINDS)(rng)
    return finished(picture, rng, 0, 0, kind)


def _words(rng: random.Random, count: int) -> str:
    return " ".join(rng.choices(WORDS, k=count))


def _time(rng: random.Random) -> str:
    return f"{rng.randint(0, 23)}:{rng.randint(0, 59):02d}"


def _canvas(
    rng: random.Random, width: int, height: int
) -> tuple[Image.Image, ImageDraw.ImageDraw, tuple[int, int, int]]:
    colour = rng.choice(BRANDS)
    picture = Image.new("RGB", (width, height), colour)
    return picture, ImageDraw.Draw(picture), ink_on(colour, rng)


def _portrait(rng: random.Random) -> tuple[int, int, float]:
    width = rng.choice((360, 540, 720, 1080, 1170, 1440))
    return width, int(width * rng.choice((1.6, 1.78, 2.0))), width / rng.randint(360, 430)


def _app_bar(rng: random.Random) -> Drawn:
    """A screenshot whose status bar was cut already: title left, icons right."""
    width, height, unit = _portrait(rng)
    picture, draw, ink = _canvas(rng, width, height)
    middle = rng.uniform(18, 30) * unit
    size = rng.uniform(16, 22) * unit
    draw.text((16 * unit, middle), rng.choice(WORDS), ink, font=font_of(size), anchor="lm")
    edge = width - 14 * unit
    for _ in range(rng.randint(1, 3)):
        tall = rng.uniform(16, 24) * unit
        edge -= (
            SIGNS[rng.choice(("bell", "triangle", "fan"))](Spot(draw, edge, middle, tall, ink, rng))
            + 14 * unit
        )
    for row in range(2, 12):
        draw.text((16 * unit, row * 46 * unit), _words(rng, 3), ink, font=font_of(14 * unit))
    return picture, "cropped app"


def _chat(rng: random.Random) -> Drawn:
    """A cropped conversation: names left, times right."""
    width, height, unit = _portrait(rng)
    picture, draw, ink = _canvas(rng, width, height)
    for row in range(12):
        y = rng.uniform(10, 16) * unit + row * 54 * unit
        draw.text((14 * unit, y), rng.choice(WORDS), ink, font=font_of(14 * unit))
        left, right = (
            (_time(rng), rng.choice(WORDS))
            if rng.random() < 0.3
            else (rng.choice(WORDS), _time(rng))
        )
        draw.text((14 * unit, y + 20 * unit), left, ink, font=font_of(12 * unit))
        draw.text((width - 14 * unit, y), right, ink, font=font_of(12 * unit), anchor="ra")
    return picture, "chat list"


def _timetable(rng: random.Random) -> Drawn:
    """Times at the left of every row, and a rounded button at the right."""
    width, height, unit = _portrait(rng)
    picture, draw, ink = _canvas(rng, width, height)
    for row in range(14):
        y = rng.uniform(18, 20) * unit + row * 44 * unit
        draw.text((16 * unit, y), _time(rng), ink, font=font_of(13 * unit), anchor="lm")
        draw.text((90 * unit, y), _words(rng, 2), ink, font=font_of(13 * unit), anchor="lm")
        button = [width - 46 * unit, y - 9 * unit, width - 14 * unit, y + 9 * unit]
        draw.rounded_rectangle(
            button, 8 * unit, fill=ink if rng.random() < 0.5 else None, outline=ink
        )
    return picture, "timetable"


def _desktop(rng: random.Random) -> Drawn:
    """A window: title left, three buttons right, a menu below."""
    width = rng.choice((1280, 1366, 1920, 2560))
    picture, draw, ink = _canvas(rng, width, int(width * rng.choice((0.56, 0.625, 0.75))))
    scale = rng.choice((1.0, 1.5, 2.0))
    draw.text((12 * scale, 16 * scale), _words(rng, 3), ink, font=font_of(12 * scale), anchor="lm")
    for number, kind in enumerate(("-", "[]", "x")):
        x = width - (120 - 40 * number) * scale
        draw.text((x, 16 * scale), kind, ink, font=font_of(13 * scale), anchor="lm")
    draw.text(
        (12 * scale, 44 * scale),
        "File  Edit  View  Help",
        ink,
        font=font_of(12 * scale),
        anchor="lm",
    )
    for row in range(3, 16):
        draw.text((40 * scale, row * 30 * scale), _words(rng, 6), ink, font=font_of(13 * scale))
    return picture, "desktop window"


def _menu_bar(rng: random.Random) -> Drawn:
    """A desktop's menu bar: menus left, Wi-Fi, battery and the time at the right end or in the middle."""
    width = rng.choice((1440, 1920, 2880))
    picture, draw, ink = _canvas(rng, width, int(width * rng.choice((0.5625, 0.625))))
    scale = width / 1440
    middle = 12 * scale
    font = font_of(13 * scale)
    menus = rng.choice(
        ("Finder   File   Edit   View   Go   Window   Help", "Activities", "Applications   Places")
    )
    draw.text((14 * scale, middle), menus, ink, font=font, anchor="lm")
    edge = width - 12 * scale
    if rng.random() < 0.5:
        draw.text((width / 2, middle), f"Mon {_time(rng)}", ink, font=font, anchor="mm")
    else:
        draw.text((edge, middle), _time(rng), ink, font=font, anchor="rm")
        edge -= 60 * scale
    for name in ("battery", "wifi"):
        edge -= SIGNS[name](Spot(draw, edge, middle, 12 * scale, ink, rng)) + 9 * scale
    picture.paste(wallpaper(rng, width, 400, smooth=True), (0, int(24 * scale)))
    return picture, "menu bar"


def _web(rng: random.Random) -> Drawn:
    width = rng.choice((800, 1024, 1440))
    picture, draw, ink = _canvas(rng, width, int(width * rng.uniform(0.4, 1.6)))
    draw.text((20, 14), rng.choice(WORDS), ink, font=font_of(18))
    draw.text((width - 20, 16), "Home   Docs   Log in", ink, font=font_of(13), anchor="ra")
    for row in range(2, 12):
        draw.text((20, row * 40), _words(rng, 7), ink, font=font_of(15))
    return picture, "web page"


def _receipt(rng: random.Random) -> Drawn:
    width = rng.choice((460, 800, 940))
    picture = Image.new("RGB", (width, int(width * rng.uniform(1.5, 2.6))), (244, 242, 238))
    draw = ImageDraw.Draw(picture)
    size = width / 30
    for row in range(30):
        y = width * rng.uniform(0.03, 0.04) + row * size * 1.5
        draw.text(
            (width * 0.06, y),
            _time(rng) if row % 4 == 0 else _words(rng, 2),
            (40, 40, 44),
            font=font_of(size),
        )
        price = f"{rng.randint(1, 99)}.{rng.randint(0, 99):02d}"
        draw.text((width * 0.94, y), price, (40, 40, 44), font=font_of(size), anchor="ra")
    return picture.rotate(rng.uniform(-2, 2), fillcolor=(120, 110, 100)), "receipt"


def _game(rng: random.Random) -> Drawn:
    """A full-screen game: score, a timer, a pause button."""
    height = rng.choice((720, 1080))
    width = int(height * rng.choice((1.6, 1.78, 2.1)))
    if rng.random() < 0.4:
        width, height = height, width
    picture = wallpaper(rng, width, height, smooth=False)
    draw = ImageDraw.Draw(picture)
    unit = min(width, height) / 400
    y = rng.uniform(14, 26) * unit
    places = [(0.04, "lm"), (0.5, "mm")]
    rng.shuffle(places)
    texts = [_time(rng), str(rng.randint(100, 99999))]
    for (x, anchor), words in zip(places, texts, strict=True):
        draw.text((x * width, y), words, (255, 255, 255), font=font_of(13 * unit), anchor=anchor)
    box = [width - 44 * unit, y - 7 * unit, width - 14 * unit, y + 7 * unit]
    draw.rounded_rectangle(box, 4 * unit, fill=(255, 255, 255))
    return picture, "game"


def _video(rng: random.Random) -> Drawn:
    height = rng.choice((540, 1080))
    width = int(height * rng.choice((1.78, 2.05)))
    picture = wallpaper(rng, width, height, smooth=False)
    draw = ImageDraw.Draw(picture)
    unit = height / 400
    draw.text(
        (20 * unit, 18 * unit),
        "<   " + _words(rng, 5),
        (255, 255, 255),
        font=font_of(13 * unit),
        anchor="lm",
    )
    SIGNS["bell"](Spot(draw, width - 20 * unit, 18 * unit, 18 * unit, (255, 255, 255), rng))
    draw.text(
        (20 * unit, height - 20 * unit),
        _time(rng),
        (255, 255, 255),
        font=font_of(12 * unit),
        anchor="lm",
    )
    return picture, "video"


def _framed(rng: random.Random) -> Drawn:
    """A phone on a backdrop, its own status bar inside the frame."""
    screen = Image.fromarray(phone_screen(rng).pixels)
    margin = int(screen.width * rng.uniform(0.02, 0.4))
    top = int(screen.width * rng.uniform(0.02, 0.3))
    backdrop = rng.choice(((20, 20, 24), (214, 222, 232), (240, 196, 180), (96, 110, 200)))
    corner = np.asarray(screen)[screen.height // 60, 2].astype(int)
    if int(np.abs(corner - np.array(backdrop)).sum()) < 60:
        backdrop = (150, 60, 60)
    picture = Image.new("RGB", (screen.width + 2 * margin, screen.height + 2 * top), backdrop)
    picture.paste(screen, (margin, top))
    return picture, "framed phone"


def _photo(rng: random.Random) -> Drawn:
    width, height = rng.choice(((1200, 900), (900, 1200), (640, 480)))
    picture = wallpaper(rng, width, height, smooth=False)
    grain = np.random.default_rng(rng.randrange(2**32)).normal(
        0, rng.uniform(2, 25), (height, width, 3)
    )
    noisy = np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8)
    return Image.fromarray(noisy).filter(ImageFilter.GaussianBlur(rng.uniform(0, 2))), "photo"


def _photo_of_screen(rng: random.Random) -> Drawn:
    """A phone photographed by hand: turned a little, with the table around it."""
    screen = Image.fromarray(phone_screen(rng).pixels)
    screen.thumbnail((1200, 1600))
    picture = wallpaper(rng, int(screen.width * 1.3), int(screen.height * 1.15), smooth=True)
    angle = rng.choice((-1, 1)) * rng.uniform(2, 8)
    mask = Image.new("L", screen.size, 255).rotate(angle, expand=True)
    turned = screen.rotate(angle, expand=True, resample=Image.Resampling.BICUBIC)
    picture.paste(turned, (int(screen.width * 0.1), int(screen.height * 0.03)), mask)
    return picture.filter(ImageFilter.GaussianBlur(0.8)), "photo of a phone"


def _bezel(rng: random.Random) -> Drawn:
    """A shop's advertising: a phone with round corners and a bezel on a backdrop, words above it, cut off below; or
    two phones side by side."""
    draw_screen = rng.choice((maker_screen, phone_screen))
    screen = Image.fromarray(draw_screen(rng).pixels)
    while screen.width > screen.height:
        screen = Image.fromarray(draw_screen(rng).pixels)
    width, height = screen.size
    bezel, side = int(width * rng.uniform(0.015, 0.05)), int(width * rng.uniform(0.03, 0.3))
    words = int(width * rng.choice((0.03, 0.06, 0.3, 0.4)))
    count = rng.choice((1, 1, 2))
    backdrop = rng.choice(
        ((214, 222, 232), (240, 196, 180), (96, 110, 200), (250, 250, 250), (34, 60, 50))
    )
    picture = Image.new(
        "RGB", (count * (width + 2 * bezel) + (count + 1) * side, height + words), backdrop
    )
    draw = ImageDraw.Draw(picture)
    if words > 0.2 * width:
        size = width * 0.07
        draw.text((side, words * 0.3), _words(rng, 2), ink_on(backdrop, rng), font=font_of(size))
    mask = Image.new("L", screen.size, 0)
    ImageDraw.Draw(mask).rounded_rectangle(
        [0, 0, width, height], width * rng.uniform(0.0, 0.1), fill=255
    )
    bezel_colour = rng.choice(((12, 12, 14), (60, 60, 66), (240, 240, 240), (200, 170, 150)))
    if sum(abs(a - b) for a, b in zip(bezel_colour, backdrop, strict=True)) < 60:
        bezel_colour = (150, 20, 40)
    for number in range(count):
        left, top = side + number * (width + 2 * bezel + side), words - bezel
        box = [left, top, left + width + 2 * bezel, top + height + 4 * bezel]
        draw.rounded_rectangle(box, width * 0.1, fill=bezel_colour)
        picture.paste(screen, (left + bezel, words), mask)
    return picture, "phone in a bezel"


def _reminders(rng: random.Random) -> Drawn:
    """Times at the left, and at the right a bin, a lock, a bottle or a card: shapes of a battery's proportions."""
    width, height, unit = _portrait(rng)
    picture, draw, ink = _canvas(rng, width, height)
    kind = rng.choice(("bin", "lock", "bottle", "card", "switch"))
    for row in range(14):
        y, x = rng.uniform(14, 24) * unit + row * 48 * unit, width - 24 * unit
        draw.text((16 * unit, y), _time(rng), ink, font=font_of(14 * unit), anchor="lm")
        if row % 3 == 0:
            draw.text((80 * unit, y), _words(rng, 2), ink, font=font_of(12 * unit), anchor="lm")
        if kind == "bin":
            draw.rectangle([x - 3 * unit, y - 9 * unit, x + 3 * unit, y - 8 * unit], fill=ink)
            draw.rectangle([x - 7 * unit, y - 8 * unit, x + 7 * unit, y - 6 * unit], fill=ink)
            draw.rectangle([x - 6 * unit, y - 5 * unit, x + 6 * unit, y + 9 * unit], fill=ink)
        elif kind == "lock":
            draw.arc(
                [x - 4 * unit, y - 9 * unit, x + 4 * unit, y + unit], 180, 360, fill=ink, width=2
            )
            draw.rounded_rectangle(
                [x - 6 * unit, y - 3 * unit, x + 6 * unit, y + 8 * unit], 2, fill=ink
            )
        elif kind == "bottle":
            draw.rectangle([x - 2 * unit, y - 9 * unit, x + 2 * unit, y - 5 * unit], fill=ink)
            draw.ellipse([x - 5 * unit, y - 6 * unit, x + 5 * unit, y + 4 * unit], fill=ink)
            draw.rectangle([x - 5 * unit, y, x + 5 * unit, y + 9 * unit], fill=ink)
        elif kind == "card":
            draw.rounded_rectangle(
                [x - 9 * unit, y - 5 * unit, x + 9 * unit, y + 5 * unit], 2, outline=ink
            )
        else:
            draw.rounded_rectangle(
                [x - 11 * unit, y - 6 * unit, x + 11 * unit, y + 6 * unit], 6 * unit, fill=ink
            )
            draw.ellipse([x, y - 5 * unit, x + 10 * unit, y + 5 * unit], fill=(255, 255, 255))
    return picture, f"times and a {kind}"


_KINDS: tuple[Callable[[random.Random], Drawn], ...] = (
    _app_bar, _chat, _timetable, _desktop, _menu_bar, _web, _receipt, _game, _video, _framed, _photo,
    _photo_of_screen, _bezel, _reminders,
)  # fmt: skip
