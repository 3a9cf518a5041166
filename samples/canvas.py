"""A phone's screen to draw on: text, cards, rows, buttons, and the system bars that real screenshots have.

Sizes are in pixels of the finished picture. Curves are drawn four times as large and scaled down, since Pillow's own
have jagged edges, which no screenshot has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH = 1080
MARGIN = 36
PADDING = 44
_FINER = 4
# Simplified Chinese forms inside the collection; its other faces draw some characters as Japanese or Korean does.
_FACE = "Noto Sans CJK SC"

Painter = Callable[[ImageDraw.ImageDraw, int], None]


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of one app."""

    background: str
    card: str
    ink: str
    faint: str
    accent: str


class Fonts:
    """Noto Sans CJK (SIL Open Font License 1.1) in the sizes that a page needs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: dict[tuple[int, bool], ImageFont.FreeTypeFont] = {}

    def get(self, size: int, bold: bool) -> ImageFont.FreeTypeFont:
        key = (size, bold)
        if key not in self._loaded:
            self._loaded[key] = self._load(size, bold)
        return self._loaded[key]

    def _load(self, size: int, bold: bool) -> ImageFont.FreeTypeFont:
        path = self._folder / f"NotoSansCJK-{'Bold' if bold else 'Regular'}.ttc"
        for index in range(10):
            # The basic layout engine: the other one is not in every build of Pillow, and places letters differently.
            font = ImageFont.truetype(
                str(path), size, index=index, layout_engine=ImageFont.Layout.BASIC
            )
            if font.getname()[0] == _FACE:
                return font
        raise SystemExit(f"{path}: there is no face {_FACE} in it")


class Screen:
    """One page. `y` is where the next card begins."""

    def __init__(self, fonts: Fonts, theme: Theme, height: int) -> None:
        self._fonts = fonts
        self.theme = theme
        self.height = height
        self.y = 0
        self.image = Image.new("RGB", (WIDTH, height), theme.background)
        self._draw = ImageDraw.Draw(self.image)

    def text(
        self,
        x: int,
        y: int,
        words: str,
        size: int = 40,
        colour: str | None = None,
        *,
        bold: bool = False,
        anchor: str = "lm",
    ) -> None:
        """Words at a point; `anchor` as in Pillow: l, m or r of the words, m for the middle of the line."""
        font = self._fonts.get(size, bold)
        self._draw.text((x, y), words, font=font, fill=colour or self.theme.ink, anchor=anchor)

    def block(self, x: int, y: int, width: int, height: int, colour: str, radius: int = 0) -> None:
        """A rectangle, with round corners where a radius is given."""
        if radius == 0:
            self._draw.rectangle((x, y, x + width - 1, y + height - 1), fill=colour)
            return

        def paint(draw: ImageDraw.ImageDraw, f: int) -> None:
            draw.rounded_rectangle((0, 0, width * f - 1, height * f - 1), radius * f, fill=255)

        self.smooth(x, y, width, height, colour, paint)

    def smooth(self, x: int, y: int, width: int, height: int, colour: str, paint: Painter) -> None:
        """Whatever `paint` draws on a mask that is finer than the picture, in one colour."""
        mask = Image.new("L", (width * _FINER, height * _FINER), 0)
        paint(ImageDraw.Draw(mask), _FINER)
        self.image.paste(colour, (x, y), mask.reduce(_FINER))

    def card(self, height: int) -> int:
        """A card over the whole width at `self.y`; gives the y of its top and moves on below it."""
        top = self.y
        self.block(MARGIN, top, WIDTH - 2 * MARGIN, height, self.theme.card, radius=28)
        self.y = top + height + 28
        return top

    def rows(self, rows: Sequence[tuple[str, str]], *, strong: str = "", title: str = "") -> None:
        """A card of labels and values; the row whose label is `strong` stands out."""
        step = 84
        head = 96 if title else 0
        top = self.card(head + len(rows) * step + 36) + 18
        if title:
            self.text(MARGIN + PADDING, top + 52, title, 44, bold=True)
        for number, (label, value) in enumerate(rows):
            middle = top + head + number * step + step // 2
            stands_out = label == strong
            self.text(MARGIN + PADDING, middle, label, 38, self.theme.faint)
            self.text(
                WIDTH - MARGIN - PADDING,
                middle,
                value,
                44 if stands_out else 38,
                self.theme.accent if stands_out else None,
                bold=stands_out,
                anchor="rm",
            )

    def button(
        self, x: int, y: int, width: int, words: str, fill: str, colour: str, height: int = 104
    ) -> None:
        """A filled button with its label."""
        self.block(x, y, width, height, fill, radius=height // 2)
        self.text(x + width // 2, y + height // 2, words, 40, colour, anchor="mm")

    def title(self, words: str) -> None:
        """The app's bar: a way back, and the name of the page."""
        middle = self.y + 62

        def arrow(draw: ImageDraw.ImageDraw, f: int) -> None:
            draw.line((26 * f, 4 * f, 6 * f, 24 * f, 26 * f, 44 * f), fill=255, width=5 * f)

        self.smooth(44, middle - 24, 32, 48, self.theme.ink, arrow)
        self.text(WIDTH // 2, middle, words, 48, bold=True, anchor="mm")
        self.y += 140

    def save(self, path: Path) -> None:
        """Writes a small PNG: a page of flat colours needs no more than 64 of them."""
        small = self.image.quantize(64, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        small.save(path, "PNG", optimize=True)
