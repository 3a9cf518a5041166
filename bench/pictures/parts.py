"""A drawn screen that notes what is drawn on it: words, buttons, icons and photos, with their boxes."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image, ImageDraw

from bench.pictures.screens import WORDS, ink_on, wallpaper
from bench.pictures.signs import Colour, font_of
from kefu_preprocess.domain.values import Box, ElementKind

TEXT, BUTTON, ICON, PICTURE = (
    ElementKind.TEXT,
    ElementKind.BUTTON,
    ElementKind.ICON,
    ElementKind.PICTURE,
)


@dataclass(frozen=True, slots=True)
class Part:
    """An element that is there. `kinds` are the right answers, `what` says what it is in words; an optional one may be
    found or not: a card's frame, a bubble around its text."""

    kinds: frozenset[ElementKind]
    box: Box
    what: str
    optional: bool = False
    # Indices of the parts for which this one stands too: two lines of a row, found as one block.
    covers: tuple[int, ...] = ()


@dataclass(slots=True)
class Page:
    """A screen that is being drawn, with what is on it. Sections are drawn from the top down; `y` is where the next
    begins. Lengths are in points, 390 to the width."""

    rng: random.Random
    width: int
    height: int
    ground: Colour
    dark: bool
    parts: list[Part] = field(default_factory=list)
    y: float = 0.0
    picture: Image.Image = field(init=False)
    draw: ImageDraw.ImageDraw = field(init=False)
    brand: Colour = field(init=False)

    def __post_init__(self) -> None:
        self.picture = Image.new("RGB", (self.width, self.height), self.ground)
        self.draw = ImageDraw.Draw(self.picture)
        self.brand = self.rng.choice(
            ((33, 150, 243), (255, 80, 0), (7, 193, 96), (103, 58, 183), (226, 35, 26))
        )

    @property
    def unit(self) -> float:
        return self.width / 390

    @property
    def ink(self) -> Colour:
        return ink_on(self.ground, self.rng)

    @property
    def faint(self) -> Colour:
        return (150, 150, 155) if self.dark else (120, 120, 125)

    @property
    def raised(self) -> Colour:
        """Of a card or a bubble: a little off the ground."""
        step = 14 if self.dark else -12
        red, green, blue = self.ground
        return max(0, red + step), max(0, green + step), max(0, blue + step)

    def words(self, count: int) -> str:
        return " ".join(self.rng.choices(WORDS, k=count))

    def box(self, left: float, top: float, right: float, bottom: float) -> list[float]:
        return [each * self.unit for each in (left, top, right, bottom)]

    def add(
        self,
        box: list[float],
        what: str,
        *kinds: ElementKind,
        optional: bool = False,
        covers: tuple[int, ...] = (),
    ) -> None:
        """Notes a part, in pixels, unless it runs out of the picture."""
        left, top, right, bottom = (round(each) for each in box)
        if bottom <= self.height and right <= self.width:
            shape = Box(max(0, left), max(0, top), right, bottom)
            self.parts.append(Part(frozenset(kinds), shape, what, optional, covers))

    def drop(self, top: float, bottom: float) -> None:
        """Forgets what is covered, wholly or in part, between two heights."""
        kept = [
            index
            for index, each in enumerate(self.parts)
            if each.box.bottom <= top * self.unit or each.box.top >= bottom * self.unit
        ]
        now = {index: number for number, index in enumerate(kept)}
        self.parts = [
            replace(
                self.parts[index],
                covers=tuple(now[each] for each in self.parts[index].covers if each in now),
            )
            for index in kept
        ]

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float,
        ink: Colour,
        what: str = "text",
        *,
        optional: bool = False,
    ) -> float:
        """Draws and notes it; gives its right edge in points."""
        box = self._draw_text(x, y, words, size, ink)
        self.add(box, what, TEXT, optional=optional)
        return box[2] / self.unit

    def _draw_text(self, x: float, y: float, words: str, size: float, ink: Colour) -> list[float]:
        font, place = font_of(size * self.unit), (x * self.unit, y * self.unit)
        self.draw.text(place, words, ink, font=font)
        return list(self.draw.textbbox(place, words, font=font))

    def paragraph(
        self, x: float, y: float, lines: int, size: float, ink: Colour, wide: int
    ) -> float:
        """Several lines as one block; gives its lower edge in points."""
        boxes = [
            self._draw_text(x, y + number * size * 1.4, self.words(wide), size, ink)
            for number in range(lines)
        ]
        self.add(
            [
                min(each[0] for each in boxes),
                boxes[0][1],
                max(each[2] for each in boxes),
                boxes[-1][3],
            ],
            "paragraph" if lines > 1 else "text",
            TEXT,
        )
        return y + lines * size * 1.4

    def button(self, left: float, top: float, right: float, bottom: float, style: str) -> None:
        """Filled, outlined, pale (a tone of the ground) or bare (words in the brand's colour)."""
        shape = self.box(left, top, right, bottom)
        radius = self.rng.choice((4, 8, (bottom - top) / 2)) * self.unit
        line = max(1, round(self.unit))
        if style == "filled":
            self.draw.rounded_rectangle(shape, radius, fill=self.brand)
            ink: Colour = (255, 255, 255)
        elif style == "outlined":
            self.draw.rounded_rectangle(shape, radius, outline=self.brand, width=line)
            ink = self.brand
        elif style == "pale":
            self.draw.rounded_rectangle(shape, radius, fill=self.raised)
            ink = self.ink
        else:
            ink = self.brand
        words = self.words(1)
        size = min(17.0, (bottom - top) * 0.42)
        font = font_of(size * self.unit)
        inside = self.draw.textbbox((0, 0), words, font=font)
        x = (shape[0] + shape[2] - inside[2] - inside[0]) / 2
        y = (shape[1] + shape[3] - inside[3] - inside[1]) / 2
        self.draw.text((x, y), words, ink, font=font)
        if style == "bare":
            self.add(
                list(self.draw.textbbox((x, y), words, font=font)), "bare button", TEXT, BUTTON
            )
        else:
            self.add(shape, f"{style} button", BUTTON)

    def icon(
        self,
        x: float,
        y: float,
        size: float,
        ink: Colour,
        what: str = "icon",
        *,
        optional: bool = False,
    ) -> None:
        """One of a few drawn signs whose middle is (x, y)."""
        left, top, right, bottom = self.box(x - size / 2, y - size / 2, x + size / 2, y + size / 2)
        line = max(2, round(size * self.unit / 11))
        shape = self.rng.choice(("ring", "house", "person", "plus", "menu", "heart", "bag"))
        middle, half = (left + right) / 2, (bottom - top) / 2
        draw = self.draw
        if shape == "ring":
            draw.ellipse([left, top, right - half / 2, bottom - half / 2], outline=ink, width=line)
            draw.line([right - half * 0.7, bottom - half * 0.7, right, bottom], ink, line)
        elif shape == "house":
            draw.line([left, top + half, middle, top, right, top + half], ink, line)
            draw.rectangle([left + half / 3, top + half, right - half / 3, bottom], None, ink, line)
        elif shape == "person":
            draw.ellipse([middle - half / 2, top, middle + half / 2, top + half], None, ink, line)
            draw.arc([left, top + half * 1.1, right, bottom + half], 180, 360, ink, line)
            draw.line([left, bottom, right, bottom], ink, line)
        elif shape == "plus":
            draw.ellipse([left, top, right, bottom], outline=ink, width=line)
            draw.line([middle, top + half / 2, middle, bottom - half / 2], ink, line)
            draw.line([left + half / 2, top + half, right - half / 2, top + half], ink, line)
        elif shape == "menu":
            for row in (0.1, 0.5, 0.9):
                draw.line([left, top + 2 * half * row, right, top + 2 * half * row], ink, line)
        elif shape == "heart":
            draw.ellipse([left, top, middle, middle - left + top], fill=ink)
            draw.ellipse([middle, top, right, middle - left + top], fill=ink)
            draw.polygon(
                [(left, top + half * 0.7), (right, top + half * 0.7), (middle, bottom)], ink
            )
        else:
            draw.rounded_rectangle([left, top + half / 2, right, bottom], half / 4, None, ink, line)
            draw.arc([middle - half / 2, top, middle + half / 2, top + half], 180, 360, ink, line)
        self.add([left, top, right, bottom], what, ICON, optional=optional)

    def photo(
        self, left: float, top: float, right: float, bottom: float, what: str = "photo"
    ) -> None:
        shape = [round(each) for each in self.box(left, top, right, bottom)]
        size = (shape[2] - shape[0], shape[3] - shape[1])
        self.picture.paste(_photo(self.rng, *size), (shape[0], shape[1]))
        self.add([float(each) for each in shape], what, PICTURE)


def _photo(rng: random.Random, width: int, height: int) -> Image.Image:
    """Soft colours with the detail and the grain that photos have."""
    soft = np.asarray(wallpaper(rng, width, height, smooth=True), np.float32)
    noise = np.random.default_rng(rng.randrange(2**32))
    detail = np.zeros((height, width), np.float32)
    for cells in (6, 14, 40):
        seeds = Image.fromarray(noise.integers(0, 256, (cells, cells)).astype(np.uint8))
        detail += (
            np.asarray(seeds.resize((width, height), Image.Resampling.BICUBIC), np.float32) - 128
        )
    grain = noise.normal(0, 5, (height, width, 1))
    return Image.fromarray(
        np.clip(soft + 0.35 * detail[:, :, None] + grain, 0, 255).astype(np.uint8)
    )
