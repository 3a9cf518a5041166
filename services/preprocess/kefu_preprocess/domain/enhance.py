"""Light, contrast and sharpening, fused into one pass over the pixels.

A gain g, contrast c around the mean m that it leaves, and an unsharp mask of strength s over a blur B are all linear,
so one weighted sum does the three: with y = g x, m + c(y + s(y - B(y)) - m) = cg(1 + s) x - cgs B(x) + m(1 - c). OpenCV
rounds and clips once, at the end, where the usual script clips twice and loses what the first clip took.
"""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image, ImageCms

from kefu_preprocess.domain.decode import Pixels

# Radius 1 of Pillow's UnsharpMask; beyond two sigmas a Gaussian adds less than one grey level here.
_SIGMA = 1.0
_KERNEL = (5, 5)
# Width of the sharper edges, in pixels of the prepared picture, from which it counts as blurred. Sharpening helped from
# 2.8 on and changed nothing below (docs/pictures.md).
BLURRED = 2.7
# Share of neighbours in a row that are equal, up to which a dark picture shows a camera's grain: 0.1 to 0.3. Dark
# designs have 0.6 to 1.0, but so have photos that lost their grain to JPEG (docs/pictures.md).
_GRAINY = 0.5
# Share of its brightest parts that a sheet of paper has of light in the median; dark designs are mostly background.
_PAPER = 0.5
# Percentile of the samples that is to become _WHITE. High enough that a lit sign in the night stays as it is.
_BRIGHTEST = 99.99
_WHITE = 235.0
# A smaller gain shows nothing more.
_LEAST_GAIN = 1.25
# Most WebP quality of what was lifted: its letters stand out that much more from what WebP rounds off, and so does its
# grain. 95 doubled the bytes, and not a line more was read (docs/pictures.md).
LIFTED_QUALITY = 85
# Tiles of CLAHE over the shorter and the longer side (Zuiderveld, Graphics Gems IV, 1994).
_TILES = 8


def contrast_and_sharpen(
    pixels: Pixels, contrast: float, sharpen: float, gain: float = 1.0
) -> Pixels:
    """`contrast` and `gain` 1 and `sharpen` 0 leave the picture as it is; contrast 1.3 and sharpen 1.5 are the usual
    script's numbers."""
    if contrast == 1.0 and sharpen == 0.0 and gain == 1.0:
        return pixels
    scale = contrast * gain
    offset = mean_luma(pixels) * gain * (1.0 - contrast)
    if sharpen == 0.0:
        # Half the time of a lookup table: this one is vector code.
        return cv2.addWeighted(pixels, scale, pixels, 0.0, offset).astype(np.uint8, copy=False)
    blurred = cv2.GaussianBlur(pixels, _KERNEL, _SIGMA)
    # Into the blurred copy itself: one copy less of a picture of 36 MB.
    return cv2.addWeighted(
        pixels, scale * (1.0 + sharpen), blurred, -scale * sharpen, offset, dst=blurred
    ).astype(np.uint8, copy=False)


def dark_photo_gain(pixels: Pixels, most: float, *, has_edges: bool) -> float:
    """How many times brighter a dark picture may become, from 1 to `most`: until its brightest parts are nearly white,
    so that nothing is clipped. 1 for what is dark because it was designed so: neither a camera's grain nor paper with
    something on it (`has_edges`)."""
    rows = np.ascontiguousarray(pixels[::4])
    # Samples, not luma: red light has little luma and would be clipped.
    brightest = max(1.0, float(np.percentile(rows, _BRIGHTEST)))
    grey = cv2.cvtColor(rows, cv2.COLOR_RGB2GRAY)
    grainy = np.count_nonzero(grey[:, 1:] == grey[:, :-1]) <= _GRAINY * grey.size
    paper = has_edges and float(np.median(grey)) >= _PAPER * brightest
    gain = min(most, _WHITE / brightest)
    return gain if gain >= _LEAST_GAIN and (grainy or paper) else 1.0


def mean_luma(pixels: Pixels) -> float:
    """Mean luma, 0 to 255, over every fourth pixel of every fourth row: within half a grey level, at a sixteenth of the
    time."""
    rows, columns = pixels.shape[:2]
    sparse = cv2.resize(pixels, (-(-columns // 4), -(-rows // 4)), interpolation=cv2.INTER_NEAREST)
    red, green, blue, _ = cv2.mean(sparse)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def adaptive_contrast(pixels: Pixels, clip_limit: float) -> Pixels:
    """CLAHE on the lightness alone, so that colours stay what they are."""
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    lab[:, :, 0] = cv2.createCLAHE(clip_limit, (_TILES, _TILES)).apply(
        np.ascontiguousarray(lab[:, :, 0])
    )
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB).astype(np.uint8, copy=False)


def to_srgb(pixels: Pixels, icc: bytes | None) -> Pixels:
    """Applies an embedded colour profile. A profile that is sRGB already, or cannot be read, changes nothing."""
    if icc is None:
        return pixels
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        if "srgb" in ImageCms.getProfileDescription(profile).lower():
            return pixels
        converted = ImageCms.profileToProfile(
            Image.fromarray(pixels), profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        # A grey or broken profile on RGB pixels: the pixels as they are show more than no picture.
        return pixels
    return pixels if converted is None else np.asarray(converted)
