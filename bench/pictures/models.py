"""What each model's own processor makes of a prepared picture: the pixels that its visual encoder gets to see.

seen = MODELS["minicpm_v_2_6"].sees(prepared_pixels)

No model is run: OCR reads what the encoder would see, so that a profile is measured at the size at which it is used.
The rules are those of the processors that the models are published with (Apache-2.0): `smart_resize` of Qwen2-VL,
`slice_image` of MiniCPM-V 2.6 (up to 9 slices of 448 × 448), `process_anyres_image` of Magma (grids of 512 × 512).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from bench.pictures.truth import Pixels


@dataclass(frozen=True, slots=True)
class Model:
    """`max_pixels` and `multiple_of` go into the profile; `sees` is what the model's own processor does to that."""

    max_pixels: int
    multiple_of: int
    sees: Callable[[Pixels], Pixels]


def _as_it_is(pixels: Pixels) -> Pixels:
    """Whole patches within the budget already: the processor changes nothing."""
    return pixels


_SLICE, _SLICES, _PATCH = 448, 9, 14


def minicpm_slices(pixels: Pixels) -> Pixels:
    """All slices side by side, as they were cut. A picture of up to one slice is enlarged or shrunk to it."""
    rows, columns = pixels.shape[:2]
    count = min(math.ceil(rows * columns / _SLICE**2), _SLICES)
    across, down = (1, 1) if count <= 1 else _grid(count, math.log(columns / rows))
    cell = (
        max(1, round(columns / across)) if across > 1 else columns,
        max(1, round(rows / down)) if down > 1 else rows,
    )
    ratio = cell[0] / cell[1]
    height = int(_SLICE / math.sqrt(ratio))
    width = int(height * ratio)
    size = (_patches(width) * across, _patches(height) * down)
    return np.asarray(cv2.resize(pixels, size, interpolation=_cubic(pixels, size)), np.uint8)


def _grid(count: int, log_ratio: float) -> tuple[int, int]:
    """Columns and rows of slices whose proportions are nearest to the picture's."""
    numbers = [each for each in (count - 1, count, count + 1) if 1 < each <= _SLICES]
    grids = [(m, each // m) for each in numbers for m in range(1, each + 1) if each % m == 0]
    return min(grids, key=lambda grid: abs(log_ratio - math.log(grid[0] / grid[1])))


def _patches(length: int) -> int:
    return max(round(length / _PATCH) * _PATCH, _PATCH)


def _cubic(pixels: Pixels, size: tuple[int, int]) -> int:
    # Pillow's bicubic widens its window where it shrinks, OpenCV's does not: area means come nearest to it.
    shrinks = size[0] < pixels.shape[1] or size[1] < pixels.shape[0]
    return cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC


_BASE, _CROPS = 512, 4


def magma_crops(pixels: Pixels) -> Pixels:
    """All crops side by side: the whole picture stretched, proportions lost, to the grid that keeps most of it, by
    linear interpolation without any smoothing first."""
    rows, columns = pixels.shape[:2]
    best, most, least_waste = (_BASE, _BASE), 0, math.inf
    for across in range(1, _CROPS + 1):
        for down in range(1, _CROPS // across + 1):
            width, height = across * _BASE, down * _BASE
            scale = min(width / columns, height / rows)
            kept = min(int(columns * scale) * int(rows * scale), columns * rows)
            waste = width * height - kept
            if kept > most or (kept == most and waste < least_waste):
                best, most, least_waste = (width, height), kept, waste
    return np.asarray(cv2.resize(pixels, best, interpolation=cv2.INTER_LINEAR), np.uint8)


MODELS: Mapping[str, Model] = {
    "reader": Model(1_200_000, 1, _as_it_is),
    # 1280 visual tokens of 28 × 28 pixels.
    "qwen2_5_vl_7b": Model(1280 * 28 * 28, 28, _as_it_is),
    # 1280 visual tokens of 32 × 32 pixels.
    "qwen3_vl_4b": Model(1280 * 32 * 32, 32, _as_it_is),
    "minicpm_v_2_6": Model(_SLICES * _SLICE**2, 1, minicpm_slices),
    "magma_8b": Model(_CROPS * _BASE**2, 1, magma_crops),
}
