"""What a camera makes of a sheet or of a screen: light, lens, grain, and the pixel grid of a photographed display.

photo_of_screen(pixels, random.Random(7), period=1.6)

A display is three upright stripes of light a pixel with dark gaps around them; a sensor sees one colour a pixel behind
a Bayer filter. Where the two grids beat, there is moiré; see Yuan et al., "AIM 2019 challenge on image demoireing",
ICCVW 2019, whose simulated pictures are made in the same steps.
"""

from __future__ import annotations

import random

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.pictures.truth import Pixels

Light = NDArray[np.float32]

# Light of one screen pixel is drawn on this many samples a side.
_SAMPLES = 6
# Samples a side of one sensor pixel.
_SENSOR = 2


def photographed(pixels: Pixels, rng: random.Random) -> Pixels:
    """A sheet on a table: uneven light, a little perspective, a lens, grain and JPEG. Same size as `pixels`."""
    rows, columns = pixels.shape[:2]
    table = np.array([rng.uniform(40, 130) for _ in range(3)], np.float32)
    margin = rng.uniform(0.03, 0.08)
    corners = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32)
    aim = np.array(
        [
            [
                x + (1 if x == 0 else -1) * columns * (margin + rng.uniform(0, 0.03)),
                y + (1 if y == 0 else -1) * rows * (margin + rng.uniform(0, 0.03)),
            ]
            for x, y in corners.tolist()
        ],
        np.float32,
    )
    warp = cv2.getPerspectiveTransform(corners, aim)
    sheet = cv2.warpPerspective(
        pixels.astype(np.float32) * rng.uniform(0.74, 0.9),
        warp,
        (columns, rows),
        flags=cv2.INTER_AREA,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=table.tolist(),
    )
    soft = cv2.GaussianBlur(sheet * _uneven(rows, columns, rng, 0.14), (0, 0), 0.7)
    grain = np.random.default_rng(rng.randrange(2**32)).normal(0, 3, (rows, columns, 1))
    return through_jpeg(np.clip(soft + grain, 0, 255).astype(np.uint8), 88)


def _uneven(rows: int, columns: int, rng: random.Random, by: float) -> Light:
    """Light that rises from one side to the other, 1 in the middle."""
    angle = rng.uniform(0, 6.28)
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j].astype(np.float32)
    return np.asarray(1 + by * (np.cos(angle) * x + np.sin(angle) * y)[:, :, None], np.float32)


def through_jpeg(pixels: Pixels, quality: int) -> Pixels:
    """RGB as a JPEG file would bring it back."""
    ok, data = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.ascontiguousarray(decoded[:, :, ::-1])


def photo_of_screen(
    pixels: Pixels,
    rng: random.Random,
    period: float,
    size: tuple[int, int] = (1200, 900),
    lens: float = 0.5,
) -> Pixels:
    """A camera's picture, `size` (width, height), of a part of a display that shows `pixels`.

    One pixel of the display is `period` pixels of the sensor; the lens blurs by `lens` of these.
    """
    width, height = size
    wide = min(pixels.shape[1], int(width / period * 1.15) + 4)
    tall = min(pixels.shape[0], int(height / period * 1.15) + 4)
    left = rng.randint(0, pixels.shape[1] - wide)
    top = rng.randint(0, min(pixels.shape[0] - tall, pixels.shape[0] // 3))
    shown = _stripes(pixels[top : top + tall, left : left + wide])
    soft = cv2.GaussianBlur(shown, (0, 0), max(0.3, lens * _SAMPLES / period))
    angle = rng.choice((-1, 1)) * rng.uniform(0.5, 9)
    zoom = period * _SENSOR / _SAMPLES
    turn = cv2.getRotationMatrix2D((shown.shape[1] / 2, shown.shape[0] / 2), angle, zoom)
    turn[0, 2] += width * _SENSOR / 2 - shown.shape[1] / 2
    turn[1, 2] += height * _SENSOR / 2 - shown.shape[0] / 2
    # A keystone of a few per cent: nobody holds a phone exactly parallel.
    tilt = np.vstack([turn, [rng.uniform(-1, 1) * 1e-5, rng.uniform(-1, 1) * 1e-5, 1]])
    seen = cv2.warpPerspective(
        soft, tilt, (width * _SENSOR, height * _SENSOR), flags=cv2.INTER_LINEAR
    )
    sensor = np.asarray(cv2.resize(seen, size, interpolation=cv2.INTER_AREA), np.float32)
    mosaic = np.empty((height, width), np.float32)
    for row, column, colour in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[row::2, column::2] = sensor[row::2, column::2, colour]
    grain = np.random.default_rng(rng.randrange(2**32)).normal(0, 0.008, mosaic.shape)
    # A display is dimmer where it is seen from the side.
    lit = mosaic * _uneven(height, width, rng, 0.25)[:, :, 0]
    exposed = np.clip(lit * rng.uniform(1.8, 2.8) + grain, 0, 1)
    coded = (255 * exposed ** (1 / 2.2)).astype(np.uint8)
    return through_jpeg(np.asarray(cv2.cvtColor(coded, cv2.COLOR_BayerBG2BGR_EA), np.uint8), 90)


def _stripes(pixels: Pixels) -> Light:
    """Light, 0 to 1, of each sample: red, green and blue beside one another, dark between the pixels."""
    rows, columns = pixels.shape[:2]
    light = (pixels.astype(np.float32) / 255) ** 2.2
    large = np.zeros((rows * _SAMPLES, columns * _SAMPLES, 3), np.float32)
    third = _SAMPLES // 3
    for colour in range(3):
        for across in range(third):
            for down in range(_SAMPLES - 1):
                large[down::_SAMPLES, colour * third + across :: _SAMPLES, colour] = light[
                    :, :, colour
                ]
    return large
