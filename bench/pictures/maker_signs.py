"""The pictograms that phone makers add to a status bar, and a pen that draws a row of them: what is drawn at the right
ends at `edge` and gives its width."""

from __future__ import annotations

import random

from PIL import Image, ImageDraw

from bench.pictures.signs import SIGNS, Colour, Sign, Spot, font_of, words_at


def _numbered(at: Spot) -> float:
    """A lying battery with its number inside an outline."""
    draw, edge, middle, tall, ink, rng = at
    wide, half = tall * 2.0, tall * 0.5
    line = max(1, round(tall / 14))
    case = [edge - wide, middle - half, edge - tall * 0.14, middle + half]
    draw.rounded_rectangle(case, tall * 0.3, outline=ink, width=line)
    nub = [edge - tall * 0.08, middle - tall * 0.16, edge, middle + tall * 0.16]
    draw.rounded_rectangle(nub, tall * 0.05, fill=ink)
    centre = (case[0] + case[2]) / 2
    draw.text(
        (centre, middle), str(rng.randint(2, 100)), ink, font=font_of(tall * 0.72), anchor="mm"
    )
    return wide


def _solid(at: Spot) -> float:
    """A lying battery, full of ink, its number left open."""
    draw, edge, middle, tall, ink, rng = at
    wide, half = tall * 1.95, tall * 0.5
    case = [edge - wide, middle - half, edge - tall * 0.14, middle + half]
    light = sum(ink) > 380
    draw.rounded_rectangle(case, tall * 0.32, fill=ink)
    draw.rounded_rectangle(
        [edge - tall * 0.08, middle - tall * 0.16, edge, middle + tall * 0.16], 1, fill=ink
    )
    number, paper = str(rng.randint(2, 100)), ((20, 20, 24) if light else (250, 250, 250))
    draw.text(
        ((case[0] + case[2]) / 2, middle),
        number,
        paper,
        font=font_of(tall * 0.85),
        anchor="mm",
        stroke_width=tall / 40,
    )
    return wide


def _ring(at: Spot) -> float:
    """A round battery."""
    draw, edge, middle, tall, ink, rng = at
    box = [edge - tall, middle - tall / 2, edge, middle + tall / 2]
    pale = tuple((each + 128) // 2 for each in ink)
    draw.arc(box, 0, 360, fill=(pale[0], pale[1], pale[2]), width=max(1, round(tall / 6)))
    draw.arc(box, -90, -90 + rng.randint(40, 360), fill=ink, width=max(1, round(tall / 6)))
    return tall


def _alarm(at: Spot) -> float:
    draw, edge, middle, tall, ink, _ = at
    line, half = max(1, round(tall / 9)), tall * 0.4
    x = edge - tall / 2
    draw.ellipse(
        [x - half, middle - half * 0.9, x + half, middle + half * 1.1], outline=ink, width=line
    )
    draw.line(
        [x, middle - half * 0.4, x, middle + half * 0.15, x + half * 0.4, middle + half * 0.4],
        fill=ink,
        width=line,
    )
    for side in (-1, 1):
        draw.line(
            [
                x + side * half * 0.5,
                middle - half * 1.2,
                x + side * half * 1.1,
                middle - half * 0.7,
            ],
            fill=ink,
            width=line,
        )
    return tall


def _bluetooth(at: Spot) -> float:
    draw, edge, middle, tall, ink, _ = at
    x, step, half = edge - tall * 0.3, tall * 0.24, tall / 2
    path = [(x - step, middle - step), (x + step, middle + step), (x, middle + half), (x, middle - half),
            (x + step, middle - step), (x - step, middle + step)]  # fmt: skip
    draw.line(path, fill=ink, width=max(1, round(tall / 11)))
    return tall * 0.6


def _vibrate(at: Spot) -> float:
    draw, edge, middle, tall, ink, _ = at
    line, x = max(1, round(tall / 11)), edge - tall / 2
    draw.rounded_rectangle(
        [x - tall * 0.22, middle - tall * 0.42, x + tall * 0.22, middle + tall * 0.42],
        tall * 0.06,
        outline=ink,
        width=line,
    )
    for side in (-0.36, 0.36):
        draw.line(
            [x + side * tall, middle - tall * 0.2, x + side * tall, middle + tall * 0.2],
            fill=ink,
            width=line,
        )
    return tall


def _moon(at: Spot) -> float:
    draw, edge, middle, tall, ink, _ = at
    draw.chord(
        [edge - tall * 0.8, middle - tall * 0.4, edge, middle + tall * 0.4], 20, 250, fill=ink
    )
    return tall * 0.8


def _location(at: Spot) -> float:
    draw, edge, middle, tall, ink, _ = at
    left, half = edge - tall * 0.7, tall * 0.36
    draw.polygon(
        [
            (left, middle),
            (edge, middle - half),
            (left + half, middle + half),
            (left + half, middle),
        ],
        fill=ink,
    )
    return tall * 0.7


def _speed(at: Spot) -> float:
    """What comes through the network: on two small lines, or on one."""
    _, _, middle, tall, _, rng = at
    number = rng.choice(("0.5", "12", "3.20", "128", "0.00"))
    if rng.random() < 0.5:
        return words_at(at, f"{number}{rng.choice(('K/s', 'KB/s', 'M/s'))}", 0.8)
    upper = words_at(at._replace(middle=middle - tall * 0.28), number, 0.5)
    return max(upper, words_at(at._replace(middle=middle + tall * 0.28), "KB/s", 0.42))


def _app(at: Spot) -> float:
    """A notification of some app: a filled tile with a hole, or an outline with a letter."""
    draw, edge, middle, tall, ink, rng = at
    box = [edge - tall, middle - tall / 2, edge, middle + tall / 2]
    shape = rng.choice((draw.ellipse, draw.rectangle))
    if rng.random() < 0.5:
        shape(box, fill=ink)
        inner = [edge - tall * 0.7, middle - tall * 0.12, edge - tall * 0.3, middle + tall * 0.12]
        draw.rectangle(inner, fill=(128, 128, 128))
    else:
        shape(box, outline=ink, width=max(1, round(tall / 9)))
        letter = rng.choice("MTWfNi")
        draw.text((edge - tall / 2, middle), letter, ink, font=font_of(tall * 0.7), anchor="mm")
    return tall


def _chat(at: Spot) -> float:
    draw, edge, middle, tall, ink, _ = at
    draw.ellipse(
        [edge - tall, middle - tall * 0.45, edge - tall * 0.2, middle + tall * 0.3], fill=ink
    )
    draw.ellipse([edge - tall * 0.6, middle - tall * 0.1, edge, middle + tall * 0.45], fill=ink)
    return tall


def _dots(at: Spot) -> float:
    draw, edge, middle, tall, ink, _ = at
    size = tall * 0.09
    for number in range(3):
        x = edge - size - number * 4 * size
        draw.ellipse([x - size, middle - size, x + size, middle + size], fill=ink)
    return 10 * size


def _carrier(at: Spot) -> float:
    return words_at(
        at,
        at.rng.choice(("Carrier", "AT&T", "CMCC", "Vodafone", "T-Mobile", "No SIM")),
    )


def _han(at: Spot) -> float:
    """Two or four characters of even strokes in squares, as Chinese ones look from afar."""
    draw, edge, middle, tall, ink, rng = at
    size, line = tall * 1.05, max(1, round(tall / 13))
    count = rng.choice((2, 2, 4))
    for number in range(count):
        left, top = edge - (count - number) * size * 1.06, middle - size / 2
        for row in rng.sample(range(5), 3):
            y = top + size * (0.08 + 0.21 * row)
            draw.line(
                [left + size * rng.uniform(0, 0.2), y, left + size * rng.uniform(0.8, 1), y],
                fill=ink,
                width=line,
            )
        for column in rng.sample(range(4), 2):
            x = left + size * (0.14 + 0.24 * column)
            draw.line(
                [x, top + size * rng.uniform(0, 0.3), x, top + size * rng.uniform(0.7, 1)],
                fill=ink,
                width=line,
            )
    return count * size * 1.06


def _label(words: str) -> Sign:
    def draw_label(at: Spot) -> float:
        return words_at(at, words, 0.75)

    return draw_label


MAKER_SIGNS: dict[str, Sign] = SIGNS | {
    "numbered": _numbered, "solid": _solid, "ring": _ring, "alarm": _alarm, "bluetooth": _bluetooth,
    "vibrate": _vibrate, "moon": _moon, "dnd": SIGNS["bell"], "location": _location, "speed": _speed, "app": _app,
    "chat": _chat, "dots": _dots, "carrier": _carrier, "han": _han, "label5G": _label("5G"), "label4G": _label("4G"),
}  # fmt: skip


class Pen:
    """Draws a bar's row and remembers which rows it drew on. `size` is that of the letters in pixels, `bold` the weight
    of the clock's strokes over it."""

    def __init__(
        self,
        draw: ImageDraw.ImageDraw,
        ink: Colour,
        size: float,
        middle: float,
        bold: float,
        rng: random.Random,
    ) -> None:
        self.draw, self.ink, self.size, self.middle, self.rng = draw, ink, size, middle, rng
        self._stroke = bold * size * rng.choice((0, 0.5, 1))
        self._font = font_of(size * 1.05)
        self.rows = (middle, middle)

    def width_of(self, words: str) -> float:
        """In pixels."""
        return sum(self._font.getlength(each) + 2 * self._stroke for each in words)

    def text(self, left: float, words: str) -> float:
        """Draws words from `left` on; gives where they end. A bold letter is wider by its strokes."""
        digits = self.draw.textbbox((0, 0), "0", font=self._font)
        top = self.middle - (digits[1] + digits[3]) / 2
        for each in words:
            self.draw.text((left, top), each, self.ink, font=self._font, stroke_width=self._stroke)
            left += self._font.getlength(each) + 2 * self._stroke
        self._drew(self.middle - 0.42 * self.size, self.middle + 0.42 * self.size)
        return left

    def sign(self, name: str, edge: float) -> float:
        """Draws a sign that ends at `edge`; gives its width."""
        tall = self.size * self.rng.uniform(0.8, 1.0)
        self._drew(self.middle - tall / 2, self.middle + tall / 2)
        return MAKER_SIGNS[name](self._spot(edge, tall))

    def from_left(self, name: str, left: float) -> float:
        """Draws a sign that begins at `left`; gives where it ends."""
        aside, state = ImageDraw.Draw(Image.new("RGB", (8, 8))), self.rng.getstate()
        wide = MAKER_SIGNS[name](self._spot(0.0, self.size)._replace(draw=aside))
        self.rng.setstate(state)
        MAKER_SIGNS[name](self._spot(left + wide, self.size))
        self._drew(self.middle - self.size / 2, self.middle + self.size / 2)
        return left + wide

    def _spot(self, edge: float, tall: float) -> Spot:
        return Spot(self.draw, edge, self.middle, tall, self.ink, self.rng)

    def _drew(self, top: float, bottom: float) -> None:
        self.rows = (min(self.rows[0], top), max(self.rows[1], bottom))
