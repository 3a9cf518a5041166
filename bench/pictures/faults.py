"""Faults made on good pictures, from slight to severe, for `bench.pictures --what quality` and the tests."""

from __future__ import annotations

import random
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.pictures.cameras import through_jpeg
from bench.pictures.truth import Pixels

Fault = Callable[[Pixels, random.Random], Pixels]


def gaussian(sigma: float) -> Fault:
    """Out of focus, as it is usually simulated; `sigma` in pixels."""
    return lambda pixels, rng: np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)


def defocus(radius: float) -> Fault:
    """Out of focus as a lens does it: every point becomes a disc of `radius` pixels."""
    side = 2 * int(np.ceil(radius)) + 1
    y, x = np.mgrid[:side, :side] - side // 2
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    kernel = (disc / disc.sum()).astype(np.float32)
    return lambda pixels, rng: np.asarray(cv2.filter2D(pixels, -1, kernel), np.uint8)


def motion(length: int) -> Fault:
    """A moved camera: every point becomes a line of `length` pixels, in any direction."""

    def moved(pixels: Pixels, rng: random.Random) -> Pixels:
        angle = rng.uniform(0, np.pi)
        kernel = np.zeros((length + 2, length + 2), np.float32)
        middle = (length + 1) / 2
        for step in np.linspace(-(length - 1) / 2, (length - 1) / 2, 8 * length).tolist():
            x, y = middle + step * np.cos(angle), middle + step * np.sin(angle)
            for row in (int(y), int(y) + 1):
                for column in (int(x), int(x) + 1):
                    kernel[row, column] += (1 - abs(y - row)) * (1 - abs(x - column))
        return np.asarray(cv2.filter2D(pixels, -1, kernel / kernel.sum()), np.uint8)

    return moved


def low_light(gain: float) -> Fault:
    """Underexposed: darker, with a sensor's grain."""

    def darkened(pixels: Pixels, rng: random.Random) -> Pixels:
        grain = np.random.default_rng(rng.randrange(2**32)).normal(0, 4, pixels.shape)
        return np.clip(pixels * gain + grain, 0, 255).astype(np.uint8)

    return darkened


def lamp_in_the_dark(gain: float) -> Fault:
    """Underexposed, with a lamp or its reflection in the picture, 1 to 3 % of it."""

    def darkened(pixels: Pixels, rng: random.Random) -> Pixels:
        spot = _spot(pixels.shape[:2], rng, rng.uniform(0.01, 0.03))[:, :, None]
        dark = low_light(gain)(pixels, rng)
        lit = dark + 400 * np.clip(2 * spot - 0.9, 0, 1)
        return np.asarray(np.clip(lit, 0, 255), np.uint8)

    return darkened


def _spot(shape: tuple[int, int], rng: random.Random, share: float) -> NDArray[np.float32]:
    """A soft ellipse, 1 in its middle and 0.5 at the rim of the `share` of the picture that it covers."""
    rows, columns = shape
    stretch = rng.uniform(0.6, 1.7)
    radius = np.sqrt(share * rows * columns / np.pi)
    x0, y0 = columns * rng.uniform(0.3, 0.7), rows * rng.uniform(0.3, 0.7)
    turn = rng.uniform(0, np.pi)
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    along = (x - x0) * np.cos(turn) + (y - y0) * np.sin(turn)
    across = (y - y0) * np.cos(turn) - (x - x0) * np.sin(turn)
    distance = (along / (radius * stretch)) ** 2 + (across * stretch / radius) ** 2
    return np.asarray(np.exp2(-distance), np.float32)


def glare(share: float) -> Fault:
    """A lamp's reflection that washes out `share` of the picture: light is added, most in the middle."""

    def shone(pixels: Pixels, rng: random.Random) -> Pixels:
        spot = _spot((pixels.shape[0], pixels.shape[1]), rng, share)[:, :, None]
        # At the rim even black letters reach 250: inside nothing is left of them.
        return np.asarray(np.clip(pixels + 500 * spot, 0, 255), np.uint8)

    return shone


def thumbnail(side: int) -> Fault:
    """Made small, `side` pixels at the shorter side, and through JPEG as chats do it."""

    def shrunk(pixels: Pixels, rng: random.Random) -> Pixels:
        scale = side / min(pixels.shape[:2])
        size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
        return through_jpeg(
            np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8), 80
        )

    return shrunk


def cut(side: str) -> Fault:
    """A part missing at `side` (left, right, top or bottom), where the cut goes through letters."""

    def shortened(pixels: Pixels, rng: random.Random) -> Pixels:
        return cut_through_text(pixels, side, rng)

    return shortened


def cut_through_text(pixels: Pixels, side: str, rng: random.Random) -> Pixels:
    """Cuts 8 to 40 % off, at the row or column nearby that crosses most letters, so that each is cut in two."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    axis = 1 if side in ("top", "bottom") else 0
    # Along the cut: the steps from dark to light that it crosses.
    steps = np.abs(np.diff(grey.astype(np.int16), axis=axis)) > 60
    crossed = steps.sum(axis=axis).astype(np.float32)
    length = crossed.size
    low, high = (0.1, 0.4) if side in ("top", "left") else (0.6, 0.9)
    if side in ("left", "right"):
        # Columns: anywhere in the text does, for most lines will be cut.
        crossed = cv2.blur(crossed[:, None], (1, 31)).ravel()
    start = int(length * low)
    window = crossed[start : int(length * high)]
    candidates = np.flatnonzero(window >= 0.8 * window.max()) + start
    at = int(rng.choice(candidates.tolist()))
    kept = {
        "top": pixels[at:],
        "bottom": pixels[:at],
        "left": pixels[:, at:],
        "right": pixels[:, :at],
    }[side]
    return np.ascontiguousarray(kept)
