"""The picture as the measures of quality want it: small, and its most detailed piece in full size."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from kefu_preprocess.domain.decode import Pixels
from kefu_preprocess.domain.quality.sharpness import edge_width

Grey = NDArray[np.uint8]
# (severity, value); None where there is nothing to tell.
Measure = tuple[float, float] | None

# Longer side, in pixels, of the copy on which light is measured: light has no fine detail.
_SMALL = 480
# Side, in pixels, of the piece in full size on which sharpness is measured.
_PIECE = 768
# Share of neighbours that are equal, above which a picture was drawn by a computer: screenshots have 0.5 to 0.98, a
# camera's pictures 0.01 to 0.4, scans that were cleaned up to 0.9.
DRAWN = 0.5


class Views:
    """`pixels` is RGB; `edges` is the width of the sharper edges in pixels, None where nothing has contrast."""

    def __init__(self, pixels: Pixels) -> None:
        self.rows, self.columns = pixels.shape[:2]
        self.pixels = pixels
        scale = min(1.0, _SMALL / max(self.rows, self.columns))
        size = (max(1, int(self.columns * scale)), max(1, int(self.rows * scale)))
        # Single pixels, not means: means take ten times as long and make everything look alike.
        coarse = cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST)
        self.small: Grey = grey(np.asarray(coarse, np.uint8))
        self.piece: Grey = grey(np.ascontiguousarray(_most_detailed(pixels, self.small)))
        self.drawn = _share_of_equal(self.piece) > DRAWN
        self.edges = edge_width(self.piece)


def grey(pixels: Pixels) -> Grey:
    """Luma of RGB."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def _share_of_equal(piece: Grey) -> float:
    """How many neighbours in a row are equal."""
    if piece.shape[1] < 2:
        return 0.0
    steps = np.asarray(cv2.absdiff(piece[:, 1:], piece[:, :-1]))
    return 1.0 - float(cv2.countNonZero(steps)) / steps.size


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
