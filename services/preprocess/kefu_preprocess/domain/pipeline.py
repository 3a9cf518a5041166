"""The picture pipeline: one list, read from top to bottom.

prepare(Job(data=open("shot.png", "rb").read()), Limits()).data   # WebP

A step is a function that changes the canvas; its name is a histogram label. The order matters:
- crop before anything is measured, so that a clock and a battery never count as content;
- fit before enhancing: fewer pixels, and a mask of one pixel's radius sharpens what the model sees, not what is lost;
- encode before marking, so that drawing cannot leak into what the model reads.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from kefu_preprocess.domain import enhance
from kefu_preprocess.domain.bars.detect import find_crop
from kefu_preprocess.domain.decode import Pixels, decode
from kefu_preprocess.domain.elements import find_elements
from kefu_preprocess.domain.encode import encode_webp
from kefu_preprocess.domain.fit import resize, target_size
from kefu_preprocess.domain.formats import Format, admit
from kefu_preprocess.domain.marks import draw_marks
from kefu_preprocess.domain.quality import examine
from kefu_preprocess.domain.values import (
    Box,
    Crop,
    Element,
    Finding,
    Job,
    Limits,
    Prepared,
    QualityKind,
    Report,
)

_NO_PIXELS: Pixels = np.zeros((0, 0, 3), np.uint8)


@dataclass(slots=True)
class Canvas:
    """What the steps work on. `pixels` is RGB, uint8; `size` is (width, height) of the upright original."""

    job: Job
    limits: Limits
    found: Format
    pixels: Pixels
    size: tuple[int, int] = (0, 0)
    # (width, height) of what is encoded.
    fitted: tuple[int, int] = (0, 0)
    reduction: int = 1
    icc: bytes | None = None
    crop: Crop = field(default_factory=Crop)
    quality: tuple[Finding, ...] = ()
    # Width in pixels of its sharper edges, None where nothing has contrast; follows every change of size.
    edges: float | None = None
    elements: tuple[Element, ...] = ()
    # Whether it was a dark photo, and is brighter now.
    lifted: bool = False
    data: bytes = b""
    marked: bytes = b""
    done: list[str] = field(default_factory=list)

    @property
    def marks(self) -> bool:
        """Whether a copy with numbers is wanted."""
        return self.job.find_elements and self.job.draw_elements

    @property
    def blurred(self) -> bool:
        """Whether its edges are wide at its present size."""
        return self.edges is not None and self.edges >= enhance.BLURRED


def prepare(job: Job, limits: Limits) -> Prepared:
    """Runs every step over one picture; deterministic, byte for byte. Raises KefuError."""
    canvas = Canvas(job, limits, admit(job.data, job.media_type, limits), _NO_PIXELS)
    # From here on the canvas alone holds the encoded bytes, and drops them when they are decoded.
    del job
    seconds: list[tuple[str, float]] = []
    for name, step in STEPS:
        start = time.perf_counter()
        step(canvas)
        seconds.append((name, time.perf_counter() - start))
    return Prepared(
        data=canvas.data,
        marked=canvas.marked,
        report=Report(
            media_type=canvas.found.media_type,
            original_size=canvas.size,
            prepared_size=canvas.fitted,
            crop=canvas.crop,
            quality=canvas.quality,
            steps=tuple(canvas.done),
            elements=canvas.elements,
            seconds=tuple(seconds),
        ),
    )


def _decode(canvas: Canvas) -> None:
    job = canvas.job
    decoded = decode(
        job.data,
        canvas.found,
        canvas.limits,
        budget=max(job.profile.max_pixels, job.profile.min_pixels),
        scale_down=job.scale_down_oversized,
    )
    canvas.pixels, canvas.size = decoded.pixels, decoded.size
    canvas.reduction, canvas.icc = decoded.reduction, decoded.icc
    canvas.job = replace(job, data=b"")
    canvas.done.append("decode" if decoded.reduction == 1 else f"decode 1/{decoded.reduction}")


def _crop(canvas: Canvas) -> None:
    crop = find_crop(canvas.pixels, canvas.job.crop_mode)
    rows, columns = canvas.pixels.shape[:2]
    if crop.top or crop.bottom or crop.left or crop.right:
        canvas.pixels = canvas.pixels[
            crop.top : rows - crop.bottom, crop.left : columns - crop.right
        ]
        canvas.done.append("crop")
    scale = canvas.reduction
    canvas.crop = Crop(
        top=crop.top * scale,
        bottom=crop.bottom * scale,
        left=crop.left * scale,
        right=crop.right * scale,
        confidence=crop.confidence,
        kind=crop.kind,
    )


def _quality(canvas: Canvas) -> None:
    found = examine(canvas.pixels, canvas.job.language)
    canvas.quality, canvas.edges = found.findings, found.edges


def _elements(canvas: Canvas) -> None:
    if not canvas.job.find_elements:
        return
    scale, crop = canvas.reduction, canvas.crop
    canvas.elements = tuple(
        replace(
            each,
            box=Box(
                each.box.left * scale + crop.left,
                each.box.top * scale + crop.top,
                each.box.right * scale + crop.left,
                each.box.bottom * scale + crop.top,
            ),
        )
        for each in find_elements(canvas.pixels)
    )
    canvas.done.append(f"elements {len(canvas.elements)}")


def _fit(canvas: Canvas) -> None:
    rows, columns = canvas.pixels.shape[:2]
    width, height = target_size(columns, rows, canvas.job.profile)
    canvas.pixels = resize(canvas.pixels, width, height)
    canvas.fitted = (width, height)
    if canvas.edges is not None:
        canvas.edges *= width / columns
    if (width, height) != (columns, rows) or canvas.reduction > 1:
        canvas.done.append(f"fit {width / columns / canvas.reduction:.2f}")


def _colour(canvas: Canvas) -> None:
    converted = enhance.to_srgb(canvas.pixels, canvas.icc)
    if converted is not canvas.pixels:
        canvas.pixels = converted
        canvas.done.append("sRGB")


def _adapt(canvas: Canvas) -> None:
    clip = canvas.job.profile.clahe
    if clip > 0:
        canvas.pixels = enhance.adaptive_contrast(canvas.pixels, clip)
        canvas.done.append(f"clahe {clip:g}")


def _enhance(canvas: Canvas) -> None:
    profile = canvas.job.profile
    sharpen = profile.sharpen
    if canvas.blurred:
        sharpen = max(sharpen, profile.sharpen_blurred)
    gain = 1.0
    if profile.lift_dark > 1.0 and any(each.kind is QualityKind.DARK for each in canvas.quality):
        gain = enhance.dark_photo_gain(
            canvas.pixels, profile.lift_dark, has_edges=canvas.edges is not None
        )
    # What the gain has spread need not be spread again: that cost bytes, and no line more was read.
    contrast = min(profile.contrast, max(1.0, profile.contrast / gain))
    canvas.pixels = enhance.contrast_and_sharpen(canvas.pixels, contrast, sharpen, gain)
    if gain != 1.0:
        canvas.lifted = True
        canvas.done.append(f"lift {gain:.2f}")
    if contrast != 1.0:
        canvas.done.append(f"contrast {contrast:.2f}")
    if sharpen != 0.0:
        canvas.done.append(f"sharpen {sharpen:.2f}")


def _encode(canvas: Canvas) -> None:
    profile = canvas.job.profile
    quality = profile.webp_quality
    if canvas.blurred and quality:
        quality = max(quality, profile.webp_quality_blurred)
    if canvas.lifted:
        quality = min(quality, enhance.LIFTED_QUALITY)
    picture = Image.fromarray(canvas.pixels)
    if not canvas.marks:
        canvas.pixels = _NO_PIXELS
    canvas.data = encode_webp(picture, quality)
    canvas.done.append(f"webp {quality}" if quality else "webp lossless")


def _mark(canvas: Canvas) -> None:
    if not canvas.marks:
        return
    crop, (width, height) = canvas.crop, canvas.size
    rows, columns = canvas.pixels.shape[:2]
    marked = draw_marks(
        canvas.pixels,
        canvas.elements,
        (crop.left, crop.top),
        (columns / (width - crop.left - crop.right), rows / (height - crop.top - crop.bottom)),
    )
    canvas.marked = encode_webp(Image.fromarray(marked), canvas.job.profile.webp_quality)
    canvas.done.append("mark")


Step = Callable[[Canvas], None]

STEPS: tuple[tuple[str, Step], ...] = (
    ("decode", _decode),
    ("crop", _crop),
    ("quality", _quality),
    ("elements", _elements),
    ("fit", _fit),
    ("colour", _colour),
    ("adapt", _adapt),
    ("enhance", _enhance),
    ("encode", _encode),
    ("mark", _mark),
)
