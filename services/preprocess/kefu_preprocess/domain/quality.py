"""What makes a picture hard to read, as numbers, with an advice that can be passed on to whoever sent it.

A dark theme is not a dark photo and a white page is no glare: the measures ask whether the pixels come from a camera
before they complain of light.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from kefu_preprocess.domain.advice import INNER_SCREEN, advice_for
from kefu_preprocess.domain.decode import Pixels
from kefu_preprocess.domain.inner_screen import find_inner_screen
from kefu_preprocess.domain.values import Finding, QualityKind

Grey = NDArray[np.uint8]

# Longer side, in pixels, of the copy on which light is measured: light has no fine detail.
_SMALL = 480
# Side, in pixels, of the piece in full size on which sharpness and moiré are measured.
_PIECE = 768
# Share of neighbours that are equal, above which a picture was drawn by a computer: screenshots have 0.6 to 0.98,
# photos 0.2 to 0.5.
_DRAWN = 0.45

_Measure = tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Quality:
    """`edges`: width of the sharper edges in pixels, None where nothing has contrast."""

    findings: tuple[Finding, ...]
    edges: float | None


def examine(pixels: Pixels, language: str) -> Quality:
    """Faults of an RGB picture. `language` is BCP 47: advice is in Chinese for zh, else in English."""
    views = _Views(pixels)
    findings = []
    for kind, measure, text, advice in _MEASURES:
        found = measure(views)
        if found is not None:
            severity, value = found
            findings.append(
                Finding(
                    kind=kind,
                    severity=round(min(1.0, max(0.0, severity)), 2),
                    value=round(value, 4),
                    measure=text,
                    advice=advice_for(advice, language),
                )
            )
    return Quality(tuple(sorted(findings, key=lambda each: -each.severity)), views.edges)


class _Views:
    """The picture as the measures want it: small, and its most detailed piece in full size."""

    def __init__(self, pixels: Pixels) -> None:
        self.rows, self.columns = pixels.shape[:2]
        self.pixels = pixels
        scale = min(1.0, _SMALL / max(self.rows, self.columns))
        size = (max(1, int(self.columns * scale)), max(1, int(self.rows * scale)))
        # Single pixels, not means: means take ten times as long and make everything look alike.
        coarse = cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST)
        self.small: Grey = _grey(np.asarray(coarse, np.uint8))
        self.piece: Grey = _grey(np.ascontiguousarray(_most_detailed(pixels, self.small)))
        self.drawn = _share_of_equal(self.piece) > _DRAWN
        self.edges = edge_width(self.piece)


def _share_of_equal(grey: Grey) -> float:
    """How many neighbours in a row differ by one grey level at most."""
    if grey.shape[1] < 2:
        return 0.0
    steps = np.asarray(cv2.absdiff(grey[:, 1:], grey[:, :-1]))
    return float(np.count_nonzero(steps <= 1)) / steps.size


def _grey(pixels: Pixels) -> Grey:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def _most_detailed(pixels: Pixels, small: Grey) -> Pixels:
    """The piece of at most _PIECE × _PIECE pixels that has most edges: an empty one says nothing of sharpness."""
    rows, columns = pixels.shape[:2]
    if rows <= _PIECE and columns <= _PIECE:
        return pixels
    detail = np.abs(cv2.Laplacian(small, cv2.CV_16S)).astype(np.float32)
    height = max(1, min(small.shape[0], round(small.shape[0] * _PIECE / rows)))
    width = max(1, min(small.shape[1], round(small.shape[1] * _PIECE / columns)))
    sums = cv2.boxFilter(detail, -1, (width, height), borderType=cv2.BORDER_CONSTANT)
    y, x = np.unravel_index(int(np.argmax(sums)), sums.shape)
    top = int(np.clip(int(y) * rows // small.shape[0] - _PIECE // 2, 0, max(0, rows - _PIECE)))
    left = int(
        np.clip(int(x) * columns // small.shape[1] - _PIECE // 2, 0, max(0, columns - _PIECE))
    )
    return pixels[top : top + _PIECE, left : left + _PIECE]


def _blur(views: _Views) -> _Measure:
    """How many pixels the sharper edges need from dark to light: local contrast over the steepest slope in it.

    After Marziliano et al., "A no-reference perceptual blur metric", ICIP 2002. A blur of sigma pixels makes a step 2.5
    sigma wide. Grain adds to both parts alike, so that a noisy picture does not pass for a sharp one.
    """
    value = views.edges
    if value is None or value <= _WIDE:
        return None
    return (value - _WIDE) / 6 + 0.2, value


# Pixels. Text is read well up to a blur of sigma 1.5, where its edges are 2.9 wide; at sigma 2 they are 3.7.
_WIDE = 3.5
_WINDOW = 17
_CONTRAST = 36


def edge_width(grey: Grey) -> float | None:
    """Width in pixels of the sharper edges (the best fifth), or None where nothing has contrast."""
    if min(grey.shape) < _WINDOW:
        return None
    window = np.ones((_WINDOW, _WINDOW), np.uint8)
    step = np.ones((1, 2), np.uint8)
    # Bytes, and every fourth of every fourth row, as long as it can be: floats of the whole take twice the time.
    lowest = np.asarray(cv2.erode(grey, window))[::4, ::4].astype(np.float32)
    contrast = np.asarray(cv2.dilate(grey, window))[::4, ::4] - lowest
    seen = contrast >= _CONTRAST
    if float(seen.mean()) < 0.002:
        return None
    slopes = cv2.max(
        cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, step),
        cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, step.T),
    )
    steepest = np.asarray(cv2.dilate(slopes, window))[::4, ::4].astype(np.float32)
    widths = contrast[seen] / np.maximum(1.0, steepest[seen])
    return float(np.quantile(widths, 0.2))


def _dark(views: _Views) -> _Measure:
    """The brightest parts, not the mean: white text on black is easy to read."""
    value = float(np.percentile(views.small, 99.5))
    return ((110 - value) / 80, value) if value < 110 else None


def _glare(views: _Views) -> _Measure:
    """One washed-out patch with soft borders on a photo."""
    if views.drawn:
        return None
    white = (views.small >= 250).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(white, connectivity=8)
    if count < 2:
        return None
    label = 1 + int(stats[1:, 4].argmax())
    share = float(stats[label, 4]) / white.size
    if not 0.008 <= share <= 0.5:
        return None
    patch = (np.asarray(labels) == label).astype(np.uint8)
    around = cv2.dilate(patch, np.ones((7, 7), np.uint8)) - patch
    # A white sheet ends sharply, a reflection fades.
    border = float(np.median(views.small[around.astype(bool)]))
    return (0.3 + 2 * share, share) if border > 205 else None


def _too_small(views: _Views) -> _Measure:
    value = float(min(views.rows, views.columns))
    return ((320 - value) / 240, value) if value < 320 else None


def _cut_off(views: _Views) -> _Measure:
    """Letters that touch the left or the right side of a drawn page."""
    if not views.drawn or min(views.small.shape) < 32:
        return None
    kernel = np.ones((3, 3), np.uint8)
    edges = np.asarray(cv2.morphologyEx(views.small, cv2.MORPH_GRADIENT, kernel)) > 60
    worst = 0
    for side in (edges[:, :2].any(axis=1), edges[:, -2:].any(axis=1)):
        runs = np.flatnonzero(np.diff(np.concatenate(([False], side, [False])).astype(np.int8)))
        lengths = runs[1::2] - runs[::2]
        worst = max(worst, int(((lengths >= 4) & (lengths <= 24)).sum()))
    return (0.2 + worst / 20, float(worst)) if worst >= 9 else None


def _screen_of_screen(views: _Views) -> _Measure:
    """Moiré: the pixel grid of a photographed screen leaves the same sharp peak in the spectrum of every tile; letters
    have peaks too, but other ones everywhere."""
    if views.drawn:
        return None
    rows, columns = (length // _TILE for length in views.piece.shape)
    if rows * columns < 2:
        return None
    across = np.abs(np.fft.fftfreq(_TILE))[:, None]
    down = np.fft.rfftfreq(_TILE)[None, :]
    # Off the axes, where JPEG's blocks and the edges of pages have theirs.
    high = (np.hypot(across, down) > 0.16) & (across > 0.02) & (down > 0.01)
    tiles = [
        views.piece[y * _TILE : (y + 1) * _TILE, x * _TILE : (x + 1) * _TILE]
        for y in range(rows)
        for x in range(columns)
    ]
    middle = _peaks(tiles[len(tiles) // 2])
    if float(middle[high].max()) <= _MOIRE:
        return None  # most photos, at a ninth of the time
    # A quarter of the tiles may be too smooth, or too full, to show it.
    common = np.sort(np.stack([_peaks(tile)[high] for tile in tiles]), axis=0)[len(tiles) // 4]
    value = float(common.max())
    return ((value - _MOIRE) / 2 + 0.3, value) if value > _MOIRE else None


def _screen_in_screen(views: _Views) -> _Measure:
    """A phone's screen that covers a part of the picture. The smaller it is, the less of its text is left."""
    box = find_inner_screen(views.pixels, views.small)
    if box is None:
        return None
    share = (box.right - box.left) * (box.bottom - box.top) / (views.rows * views.columns)
    return (1.0 - share if share < 0.8 else 0.2), share


_TILE = 256
# Nepers. See docs/pictures.md for what photos of paper and of screens reach.
_MOIRE = 2.05


def _peaks(tile: Grey) -> NDArray[np.float32]:
    """How far each frequency stands out of its surroundings; a bin's best neighbour counts for it."""
    window = np.hanning(_TILE).astype(np.float32)
    centred = tile.astype(np.float32) - float(tile.mean())
    power = np.log1p(np.abs(np.fft.rfft2(centred * window[:, None] * window))).astype(np.float32)
    prominence = power - np.asarray(cv2.medianBlur(power, 5), np.float32)
    return np.asarray(cv2.dilate(prominence, np.ones((3, 3), np.uint8)), np.float32)


_MEASURES: tuple[tuple[QualityKind, Callable[[_Views], _Measure], str, str], ...] = (
    (QualityKind.BLUR, _blur, "width of the sharper edges, pixels", QualityKind.BLUR),
    (QualityKind.DARK, _dark, "99.5th percentile of luma, 0-255", QualityKind.DARK),
    (QualityKind.GLARE, _glare, "washed-out share of the picture, 0-1", QualityKind.GLARE),
    (QualityKind.TOO_SMALL, _too_small, "shorter side, pixels", QualityKind.TOO_SMALL),
    (QualityKind.CUT_OFF, _cut_off, "letters at one side, count", QualityKind.CUT_OFF),
    (
        QualityKind.SCREEN_OF_SCREEN,
        _screen_of_screen,
        "spectral peak over its surroundings, nepers",
        QualityKind.SCREEN_OF_SCREEN,
    ),
    (
        QualityKind.SCREEN_OF_SCREEN,
        _screen_in_screen,
        "share of the picture that a screenshot inside it covers, 0-1",
        INNER_SCREEN,
    ),
)
