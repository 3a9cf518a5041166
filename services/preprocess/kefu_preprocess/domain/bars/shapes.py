"""Comparing a small shape with drawings of known shapes: correlation of small patches."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from kefu_preprocess.domain.bars.glyphs import Grey

Vector = NDArray[np.float32]

_SIDE = 16


def stretched_vector(patch: Grey) -> Vector:
    """A patch, stretched to a square, as a unit vector without its mean. Compare only where proportions are alike."""
    small = cv2.resize(patch.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return unit(np.asarray(small, np.float32))


def unit(small: NDArray[np.float32]) -> Vector:
    """Slightly blurred, mean taken off, length one: a dot product is then a correlation."""
    blurred = np.asarray(cv2.GaussianBlur(small, (3, 3), 0.8), np.float32)
    blurred -= blurred.mean()
    norm = float(np.linalg.norm(blurred))
    vector: Vector = (blurred / norm if norm > 0 else blurred).ravel()
    return vector


def tight(canvas: Grey) -> Grey:
    """A drawing without its empty margins."""
    rows = np.flatnonzero(canvas.max(axis=1) > 100)
    columns = np.flatnonzero(canvas.max(axis=0) > 100)
    return canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
