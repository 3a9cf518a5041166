"""Status bars and navigation bars, drawn as phones draw them: what Kefu has to find and cut off."""

from __future__ import annotations

from PIL import ImageDraw

from samples.canvas import WIDTH, Screen


def island_status(screen: Screen, time: str, charge: int) -> None:
    """A tall status bar with a dark island in its middle: time at the left, signal, Wi-Fi, battery at the right."""
    ink = screen.theme.ink
    screen.text(150, 78, time, 46, ink, bold=True, anchor="mm")
    screen.block(WIDTH // 2 - 175, 36, 350, 92, "#000000", radius=46)
    _signal(screen, 800, 60, ink)
    _wifi(screen, 868, 60, ink)
    _battery(screen, 936, 62, charge, ink)
    screen.y = 150


def plain_status(screen: Screen, time: str, charge: int) -> None:
    """A low status bar: time and a notification at the left, Wi-Fi, signal, battery and its number at the right."""
    ink = screen.theme.ink
    screen.text(48, 46, time, 36, ink, anchor="lm")
    _envelope(screen, 168, 32, ink)
    _wifi(screen, 768, 28, ink)
    _signal(screen, 834, 28, ink)
    _battery(screen, 908, 30, charge, ink)
    screen.text(WIDTH - 30, 46, f"{charge}%", 30, ink, anchor="rm")
    screen.y = 92


def home_bar(screen: Screen) -> None:
    """The thin bar at the bottom edge of a phone that is steered by gestures."""
    screen.block(WIDTH // 2 - 200, screen.height - 30, 400, 13, screen.theme.ink, radius=6)


def three_buttons(screen: Screen) -> None:
    """Back, home, overview on a strip of their own."""
    top = screen.height - 126
    screen.block(0, top, WIDTH, 126, "#000000")

    def back(draw: ImageDraw.ImageDraw, f: int) -> None:
        draw.polygon((42 * f, 4 * f, 42 * f, 44 * f, 6 * f, 24 * f), fill=255)

    def home(draw: ImageDraw.ImageDraw, f: int) -> None:
        draw.ellipse((4 * f, 4 * f, 44 * f, 44 * f), outline=255, width=5 * f)

    def overview(draw: ImageDraw.ImageDraw, f: int) -> None:
        draw.rounded_rectangle((5 * f, 5 * f, 43 * f, 43 * f), 5 * f, outline=255, width=5 * f)

    for middle, paint in ((WIDTH // 4, back), (WIDTH // 2, home), (WIDTH * 3 // 4, overview)):
        screen.smooth(middle - 24, top + 39, 48, 48, "#e8e8e8", paint)


def _signal(screen: Screen, x: int, y: int, colour: str) -> None:
    for bar in range(4):
        height = 10 + bar * 8
        screen.block(x + bar * 13, y + 34 - height, 9, height, colour, radius=3)


def _wifi(screen: Screen, x: int, y: int, colour: str) -> None:
    def paint(draw: ImageDraw.ImageDraw, f: int) -> None:
        for ring in (25, 17, 9):
            box = ((24 - ring) * f, (31 - ring) * f, (24 + ring) * f, (31 + ring) * f)
            draw.arc(box, 225, 315, fill=255, width=5 * f)
        draw.pieslice((18 * f, 25 * f, 30 * f, 37 * f), 225, 315, fill=255)

    screen.smooth(x, y, 48, 36, colour, paint)


def _battery(screen: Screen, x: int, y: int, charge: int, colour: str) -> None:
    def paint(draw: ImageDraw.ImageDraw, f: int) -> None:
        draw.rounded_rectangle((0, 0, 58 * f, 30 * f), 8 * f, outline=255, width=3 * f)
        draw.rounded_rectangle((60 * f, 10 * f, 65 * f, 20 * f), 2 * f, fill=255)
        draw.rounded_rectangle(
            (5 * f, 5 * f, (5 + 48 * charge // 100) * f, 25 * f), 4 * f, fill=255
        )

    screen.smooth(x, y, 66, 32, colour, paint)


def _envelope(screen: Screen, x: int, y: int, colour: str) -> None:
    def paint(draw: ImageDraw.ImageDraw, f: int) -> None:
        draw.rounded_rectangle((0, 0, 39 * f, 27 * f), 4 * f, outline=255, width=3 * f)
        draw.line((2 * f, 3 * f, 20 * f, 16 * f, 38 * f, 3 * f), fill=255, width=3 * f)

    screen.smooth(x, y, 40, 28, colour, paint)
