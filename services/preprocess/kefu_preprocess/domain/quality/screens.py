"""A screen of a screen: photographed from a display, or a screenshot inside another picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from kefu_preprocess.domain.decode import Pixels
from kefu_preprocess.domain.inner_screen import find_inner_screen
from kefu_preprocess.domain.quality.views import Measure, Views

_TILE = 128
_MOST_TILES = 6
# Nepers: alone, and together with a peak of colour. See docs/pictures.md for what photos of paper and screens reach.
_MOIRE, _WITH_COLOUR, _COLOUR = 2.3, 1.35, 1.15
_FEW_LEVELS = 24
_HANNING = np.hanning(_TILE).astype(np.float32)
_WINDOW = _HANNING[:, None] * _HANNING[None, :]


def _band() -> NDArray[np.bool_]:
    """Off the axes, where JPEG's blocks and the edges of pages have their peaks, and off the highest frequencies,
    where colour that was kept at half the size has its own."""
    across = np.abs(np.fft.fftfreq(_TILE))[:, None]
    down = np.fft.rfftfreq(_TILE)[None, :]
    lowest, highest = np.minimum(across, down), np.maximum(across, down)
    return np.asarray((np.hypot(across, down) > 0.1) & (lowest > 0.012) & (highest < 0.47))


_BAND = _band()


def photo_of_screen(views: Views) -> Measure:
    """Moiré: the grid of a photographed display leaves the same sharp peak in the spectrum of every even tile.

    In even tiles there are no letters, whose peaks are everywhere else; printed patterns have no peak of colour, which
    comes of the display's coloured stripes under the sensor's coloured filter.
    """
    if views.drawn:
        return None
    tiles = _even_tiles(views)
    if len(tiles) < 2:
        return None
    grey = [np.asarray(cv2.cvtColor(tile, cv2.COLOR_RGB2GRAY), np.float32) for tile in tiles]
    # Most photos are done after two tiles, at a third of the time.
    if len(tiles) > 2 and _common_peak(grey[:2]) <= _WITH_COLOUR:
        return None
    value = _common_peak(grey)
    if value <= _WITH_COLOUR or _dithered(tiles):
        return None
    if value <= _MOIRE:
        red, green, blue = (
            [tile[..., colour].astype(np.float32) for tile in tiles] for colour in range(3)
        )
        colour = max(
            _common_peak([one - other for one, other in zip(first, green, strict=True)])
            for first in (red, blue)
        )
        if colour <= _COLOUR:
            return None
    return (value - _WITH_COLOUR) / 2 + 0.3, value


def _dithered(tiles: list[Pixels]) -> bool:
    """Few colours in a fixed pattern, as in a GIF: no camera's grain."""
    levels = sorted(np.count_nonzero(np.bincount(tile.ravel(), minlength=256)) for tile in tiles)
    return int(levels[len(levels) // 2]) <= _FEW_LEVELS


def _even_tiles(views: Views) -> list[Pixels]:
    """The tiles in full size with least contrast that are neither dark, where a grid is too faint, nor burnt out."""
    down, across = views.rows // _TILE, views.columns // _TILE
    if down * across < 2:
        return []
    # Of the small copy, as many pixels of each tile.
    side = max(1, int(_TILE * views.small.shape[1] / views.columns))
    ys = (np.arange(down) * _TILE * views.small.shape[0]) // views.rows
    xs = (np.arange(across) * _TILE * views.small.shape[1]) // views.columns
    window = np.ones((side, side), np.uint8)
    # Anchored at the corner, so that each tile's corner holds its extremes.
    highest = cv2.dilate(views.small, window, anchor=(0, 0))[np.ix_(ys, xs)].astype(np.int32)
    lowest = cv2.erode(views.small, window, anchor=(0, 0))[np.ix_(ys, xs)].astype(np.int32)
    cost = highest - lowest + np.where((highest >= 253) | (highest < 70), 300, 0)
    best = np.argsort(cost, axis=None, kind="stable")[:_MOST_TILES].tolist()
    return [
        views.pixels[y * _TILE : (y + 1) * _TILE, x * _TILE : (x + 1) * _TILE]
        for y, x in (divmod(each, across) for each in best)
    ]


def _common_peak(tiles: list[NDArray[np.float32]]) -> float:
    """How far the highest peak that two thirds of the tiles share stands out of its surroundings, in nepers."""
    peaks = np.sort(np.stack([_peaks(tile)[_BAND] for tile in tiles]), axis=0)
    return float(peaks[len(tiles) // 3].max())


def _peaks(tile: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far each frequency stands out of its surroundings; a bin's best neighbour counts for it."""
    power = np.log1p(np.abs(np.fft.rfft2((tile - float(tile.mean())) * _WINDOW))).astype(np.float32)
    prominence = power - np.asarray(cv2.medianBlur(power, 5), np.float32)
    return np.asarray(cv2.dilate(prominence, np.ones((3, 3), np.uint8)), np.float32)


def screen_inside(views: Views) -> Measure:
    """A phone's screen that covers a part of the picture. The smaller it is, the less of its text is left."""
    box = find_inner_screen(views.pixels, views.small)
    if box is None:
        return None
    share = (box.right - box.left) * (box.bottom - box.top) / (views.rows * views.columns)
    return (1.0 - share if share < 0.8 else 0.2), share
