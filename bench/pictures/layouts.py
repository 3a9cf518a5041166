"""Drawn screens whose elements are known: text, buttons, icons and pictures, in the arrangements that apps have.

layout = draw_layout(random.Random(7))
layout.pixels, layout.parts
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw

from bench.pictures.parts import BUTTON, ICON, PICTURE, TEXT, Page, Part
from bench.pictures.screens import WORDS, finished
from bench.pictures.signs import Colour, font_of


@dataclass(frozen=True, slots=True)
class Layout:
    """`pixels` is RGB."""

    pixels: NDArray[np.uint8]
    parts: tuple[Part, ...]
    kind: str


def draw_layout(rng: random.Random) -> Layout:
    """One screen; the arrangement is drawn by lot."""
    kind = rng.choice(tuple(_ARRANGEMENTS))
    width = rng.choice((720, 828, 1080, 1080, 1080, 1170, 1440))
    dark = rng.random() < 0.35
    ground: Colour = (
        rng.choice(((0, 0, 0), (18, 18, 20), (30, 31, 34)))
        if dark
        else rng.choice(((255, 255, 255), (247, 248, 250), (240, 240, 245)))
    )
    page = Page(rng, width, int(width * rng.choice((2.0, 19.5 / 9, 20 / 9))), ground, dark)
    for section in _ARRANGEMENTS[kind]:
        section(page)
    screen = finished(page.picture, rng, 0, 0, kind)
    return Layout(screen.pixels, tuple(page.parts), screen.kind)


def _header(page: Page) -> None:
    coloured = page.rng.random() < 0.4
    ink: Colour = (255, 255, 255) if coloured else page.ink
    if coloured:
        page.draw.rectangle(page.box(0, 0, 390, 56), fill=page.brand)
    page.icon(28, 28, 22, ink)
    page.text(60, 17, page.words(page.rng.randint(1, 2)), 19, ink)
    for x in (362, 318)[: page.rng.randint(0, 2)]:
        page.icon(x, 28, 22, ink)
    page.y = 70


def _search(page: Page) -> None:
    shape = page.box(16, page.y, 374, page.y + 40)
    outlined = page.rng.random() < 0.4
    page.draw.rounded_rectangle(
        shape,
        page.rng.choice((6, 20)) * page.unit,
        fill=None if outlined else page.raised,
        outline=page.faint if outlined else None,
        width=max(1, round(page.unit)),
    )
    page.add(shape, "input field", BUTTON)
    # What is in a field may have a number of its own, or the field's.
    page.icon(36, page.y + 20, 16, page.faint, "field icon", optional=True)
    page.text(56, page.y + 12, page.words(2), 14, page.faint, "placeholder", optional=True)
    page.y += 54


def _banner(page: Page) -> None:
    page.photo(16, page.y, 374, page.y + 150, "banner")
    page.y += 164


def _prose(page: Page) -> None:
    page.text(20, page.y, page.words(3), 22, page.ink, "heading")
    page.y = page.paragraph(20, page.y + 40, page.rng.randint(2, 5), 15, page.ink, 4) + 16


def _buttons(page: Page) -> None:
    for style in page.rng.sample(("filled", "outlined", "pale", "bare"), page.rng.randint(1, 3)):
        page.button(24, page.y, 366, page.y + 46, style)
        page.y += 60


def _pair(page: Page) -> None:
    first, second = page.rng.sample(("filled", "outlined", "pale"), 2)
    page.button(20, page.y, 188, page.y + 42, first)
    page.button(202, page.y, 370, page.y + 42, second)
    page.y += 58


def _chips(page: Page) -> None:
    x = 16.0
    while x < 300:
        wide = page.rng.uniform(64, 100)
        page.button(
            x, page.y, x + wide, page.y + 30, page.rng.choice(("filled", "outlined", "pale"))
        )
        x += wide + 10
    page.y += 46


def _rows(page: Page) -> None:
    lead = page.rng.choice(("icon", "avatar", "none"))
    tail = page.rng.choice(("switch", "chevron", "value", "button"))
    lined = page.rng.random() < 0.5
    for _ in range(page.rng.randint(3, 6)):
        x = 20.0
        if lead == "icon":
            page.icon(34, page.y + 32, 24, page.faint)
            x = 62
        elif lead == "avatar":
            page.photo(16, page.y + 10, 60, page.y + 54, "avatar")
            x = 74
        _two_lines(page, x)
        if tail == "switch":
            _switch(page, 326, page.y + 20)
        elif tail == "chevron":
            u = page.unit
            points = [
                (364 * u, (page.y + 25) * u),
                (371 * u, (page.y + 32) * u),
                (364 * u, (page.y + 39) * u),
            ]
            page.draw.line(points, page.faint, max(2, round(1.6 * u)))
            page.add(
                page.box(363, page.y + 24, 372, page.y + 40), "chevron", ICON, TEXT, optional=True
            )
        elif tail == "value":
            page.text(318, page.y + 24, f"{page.rng.randint(10, 999)}.00", 15, page.ink, "value")
        else:
            page.button(302, page.y + 17, 372, page.y + 47, page.rng.choice(("filled", "outlined")))
        if lined:
            page.draw.line(page.box(x, page.y + 63, 390, page.y + 63), page.raised, 1)
        page.y += 64
    page.y += 12


def _two_lines(page: Page, x: float) -> None:
    before = len(page.parts)
    first = page.text(x, page.y + 12, page.words(page.rng.randint(1, 2)), 16, page.ink, "row title")
    last = page.text(x, page.y + 37, page.words(2), 12, page.faint, "row subtitle")
    if len(page.parts) == before + 2:
        whole = page.box(x, page.y + 14, max(first, last), page.y + 50)
        page.add(whole, "row words", TEXT, optional=True, covers=(before, before + 1))


def _switch(page: Page, x: float, y: float) -> None:
    on = page.rng.random() < 0.5
    page.draw.rounded_rectangle(
        page.box(x, y, x + 46, y + 26), 13 * page.unit, fill=page.brand if on else page.faint
    )
    knob = x + 22 if on else x + 2
    page.draw.ellipse(page.box(knob, y + 2, knob + 22, y + 24), fill=(255, 255, 255))
    page.add(page.box(x, y, x + 46, y + 26), "switch", ICON, BUTTON)


def _grid(page: Page) -> None:
    columns = page.rng.choice((2, 3))
    wide = (390 - 12 * (columns + 1)) / columns
    while page.y + wide + 90 < page.height / page.unit - 70:
        for column in range(columns):
            x = 12 + column * (wide + 12)
            page.photo(x, page.y, x + wide, page.y + wide, "product photo")
            page.paragraph(x, page.y + wide + 8, 2, 12, page.ink, 2 if columns == 2 else 1)
            page.text(
                x, page.y + wide + 50, f"${page.rng.randint(1, 99)}.90", 16, page.brand, "price"
            )
            if columns == 2:
                page.button(
                    x + wide - 56, page.y + wide + 46, x + wide, page.y + wide + 72, "filled"
                )
        page.y += wide + 90


def _chat(page: Page) -> None:
    while page.y < page.height / page.unit - 190:
        ours = page.rng.random() < 0.5
        page.photo(
            *((342, page.y, 378, page.y + 36) if ours else (12, page.y, 48, page.y + 36)), "avatar"
        )
        if page.rng.random() < 0.2:
            wide, tall = page.rng.uniform(110, 180), page.rng.uniform(100, 140)
            left = 330 - wide if ours else 60
            page.photo(left, page.y, left + wide, page.y + tall)
        else:
            lines, count = page.rng.randint(1, 3), page.rng.randint(1, 3)
            wide, tall = 40 + 62 * count, lines * 22.4 + 20
            left = 330 - wide if ours else 60
            fill = page.brand if ours else page.raised
            page.draw.rounded_rectangle(
                page.box(left, page.y, left + wide, page.y + tall), 10 * page.unit, fill=fill
            )
            ink: Colour = (255, 255, 255) if ours else page.ink
            page.add(
                page.box(left, page.y, left + wide, page.y + tall),
                "bubble",
                TEXT,
                BUTTON,
                optional=True,
            )
            page.paragraph(left + 14, page.y + 10, lines, 16, ink, count)
        page.y += max(48.0, tall + 18)
    page.y = page.height / page.unit - 120
    _search(page)


def _dialog(page: Page) -> None:
    page.picture.paste(page.picture.point(lambda level: int(level * 0.45)))
    page.draw = ImageDraw.Draw(page.picture)
    top = 0.36 * page.height / page.unit
    page.drop(top - 4, top + 194)
    page.ground = (44, 44, 46) if page.dark else (255, 255, 255)
    page.draw.rounded_rectangle(page.box(36, top, 354, top + 190), 14 * page.unit, fill=page.ground)
    page.add(page.box(36, top, 354, top + 190), "dialog", BUTTON, PICTURE, optional=True)
    page.text(60, top + 22, page.words(2), 19, page.ink, "heading")
    page.paragraph(60, top + 58, 3, 14, page.ink, 3)
    page.button(56, top + 134, 188, top + 172, "pale")
    page.button(202, top + 134, 334, top + 172, "filled")


def _tabs(page: Page) -> None:
    top = page.height / page.unit - 62
    page.draw.rectangle(page.box(0, top - 8, 390, top + 62), fill=page.ground)
    page.drop(top - 8, top + 62)
    page.draw.line(page.box(0, top - 8, 390, top - 8), page.raised, 1)
    count = page.rng.randint(3, 5)
    for number in range(count):
        x = 390 * (number + 0.5) / count
        ink = page.brand if number == 0 else page.faint
        page.icon(x, top + 14, 24, ink, "tab icon")
        words = page.rng.choice(WORDS[:7])
        wide = page.draw.textlength(words, font=font_of(11 * page.unit)) / page.unit
        page.text(x - wide / 2, top + 31, words, 11, ink, "tab label")


Section = Callable[[Page], None]

_ARRANGEMENTS: dict[str, tuple[Section, ...]] = {
    "settings": (_header, _search, _rows, _rows, _tabs),
    "article": (_header, _banner, _prose, _prose, _buttons),
    "order": (_header, _prose, _rows, _pair, _buttons, _tabs),
    "shop": (_header, _search, _chips, _grid, _tabs),
    "chat": (_header, _chat),
    "form": (_header, _prose, _search, _search, _search, _buttons),
    "dialog": (_header, _rows, _rows, _rows, _dialog),
}
