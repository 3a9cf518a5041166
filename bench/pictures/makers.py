"""Drawn screens as phone makers' own systems show them: batteries with a number inside or round ones, network speed,
two SIM cards, carriers' names, notifications beside the clock, a time with its half of the day, seconds or a date.

screen = maker_screen(random.Random(7))
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from PIL import Image, ImageDraw

from bench.pictures.maker_signs import Pen
from bench.pictures.screens import (
    BRANDS,
    Screen,
    content,
    finished,
    handle,
    ink_on,
    mean,
    wallpaper,
)
from bench.pictures.signs import Colour


@dataclass(frozen=True, slots=True)
class _Maker:
    """Points: the bar's height, its row's middle, the digits' size and the side margin. `right` and `left` are groups
    of signs of which one is drawn, from the outer edge inwards; `clock` is where the time stands."""

    kind: str
    bar: float
    middle: float
    text: float
    margin: float
    clock: str
    right: tuple[str, ...]
    left: tuple[str, ...] = ("",)
    bold: float = 0.0
    before: str = ""


_NOTIFICATIONS = ("", "", "app", "app app", "bell", "app chat dots", "chat app app app dots")
_MAKERS = (
    _Maker("android with seconds", 28, 14, 13, 10, "left", (
        "percent battery wifi bars", "battery bars wifi bluetooth vibrate"), _NOTIFICATIONS),
    _Maker("number in the battery", 34, 18, 13.5, 18, "left", (
        "numbered wifi bars", "numbered wifi bars label5G speed", "numbered bars label5G bars speed alarm",
        "numbered wifi bars bars bluetooth alarm"), _NOTIFICATIONS, 0.03),
    _Maker("solid number in the battery", 38, 22, 14, 24, "left", (
        "solid wifi bars label5G", "solid bars label4G bars wifi", "solid wifi bars bluetooth speed"),
        _NOTIFICATIONS, 0.04),
    _Maker("two-line speed", 32, 17, 13, 16, "left", (
        "percent battery label5G bars wifi speed", "battery bars wifi speed vibrate alarm"), _NOTIFICATIONS, 0.02),
    _Maker("upright battery", 30, 15, 13.5, 18, "left", (
        "upright percent triangle fan vibrate", "upright triangle fan", "upright", "upright dnd", "upright fan",
        "upright label5G triangle fan"), _NOTIFICATIONS),
    _Maker("round battery", 30, 15, 13, 14, "left", ("ring triangle fan", "percent ring bars wifi"), _NOTIFICATIONS),
    _Maker("carrier left, clock right", 26, 13, 12.5, 8, "right", (
        "battery wifi bars", "percent battery wifi bars alarm"), ("carrier", "carrier app app", "han", "han app")),
    _Maker("carrier left, clock centre", 20, 10, 12, 6, "centre", (
        "battery percent", "battery percent bluetooth location", "battery"), (
        "bars carrier wifi", "bars han wifi", "bars han label4G"),
        0.02),
    _Maker("notch", 44, 26, 16.5, 28, "left", (
        "battery wifi bars", "numbered wifi bars", "battery label5G bars", "solid wifi bars", "numbered label5G bars"),
        ("", "location", "moon"), 0.04),
    _Maker("island", 59, 31, 17, 44, "left", (
        "numbered wifi bars", "solid wifi bars", "solid label5G bars"), ("", "location", "moon"), 0.04),
    _Maker("half of the day before the clock", 32, 17, 13, 16, "left", (
        "battery wifi bars", "numbered wifi bars", "percent battery bars"), ("", "app"), 0.0, "han"),
)  # fmt: skip


def maker_screen(rng: random.Random) -> Screen:
    """A screenshot with a status bar."""
    maker = rng.choice(_MAKERS)
    width = rng.choice((360, 480, 540, 720, 828, 1080, 1080, 1170, 1220, 1260, 1440))
    height = int(width * rng.choice((16 / 9, 2.0, 19.5 / 9, 20 / 9)))
    unit = width / rng.randint(360, 430)
    background = rng.choice(BRANDS)
    picture = Image.new("RGB", (width, height), background)
    smooth = rng.random() < 0.15
    if smooth:
        picture = wallpaper(rng, width, height, smooth=True)
        background = mean(picture.crop((0, 0, width, int(maker.bar * unit))))
    ink = ink_on(background, rng)
    pen = Pen(ImageDraw.Draw(picture), ink, maker.text * unit, maker.middle * unit, maker.bold, rng)
    _row(pen, maker, width, unit)
    # A camera hole in the middle, on half of those with a tall bar.
    top, bottom = pen.rows
    if maker.bar >= 30 and maker.clock == "left" and background != (0, 0, 0) and rng.random() < 0.4:
        top, bottom = _hole(pen.draw, maker, width, unit, (top, bottom))
    first = content(picture, rng, round(maker.bar * unit), unit, not smooth, ink)
    if rng.random() < 0.5:
        handle(picture, rng, unit, ink)
    return finished(picture, rng, int(bottom) + 1, first, maker.kind)


def _row(pen: Pen, maker: _Maker, width: int, unit: float) -> None:
    rng = pen.rng
    right = width - maker.margin * unit
    time = f"{rng.randint(0, 23)}:{rng.randint(0, 59):02d}"
    if maker.kind == "android with seconds":
        time += rng.choice((f":{rng.randint(0, 59):02d}", " AM", " PM", ""))
    elif maker.clock == "centre":
        time += rng.choice(("", " AM", " PM"))
    elif maker.bar < 44 and rng.random() < 0.2:
        time += rng.choice((" Mon, Jun 3", " Tue 14", " AM", " PM"))
    signs = rng.choice(maker.right).split()
    if maker.clock == "right":
        right -= pen.width_of(time)
        pen.text(right, time)
        right -= 0.5 * pen.size
    for name in signs:
        right -= pen.sign(name, right) + rng.uniform(0.25, 0.45) * pen.size
    edge = maker.margin * unit
    if maker.clock == "centre":
        pen.text((width - pen.width_of(time)) / 2, time)
    elif maker.clock == "left":
        if maker.before:
            edge = pen.from_left(maker.before, edge) + 0.1 * pen.size
        edge = pen.text(edge, time) + 0.5 * pen.size
    for name in rng.choice(maker.left).split():
        edge = pen.from_left(name, edge) + 0.35 * pen.size


def _hole(
    draw: ImageDraw.ImageDraw, maker: _Maker, width: int, unit: float, rows: tuple[float, float]
) -> tuple[float, float]:
    black: Colour = (0, 0, 0)
    if maker.kind == "island":
        box = [width / 2 - 63 * unit, 11 * unit, width / 2 + 63 * unit, 48 * unit]
        draw.rounded_rectangle(box, 18 * unit, fill=black)
    else:
        half = 9 * unit
        box = [
            width / 2 - half,
            maker.middle * unit - half,
            width / 2 + half,
            maker.middle * unit + half,
        ]
        draw.ellipse(box, fill=black)
    return min(rows[0], box[1]), max(rows[1], box[3])
