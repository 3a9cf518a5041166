"""Which bars to cut: the status bar on top, the gesture or navigation bar at the bottom, and what a phone held across
draws at its sides; each where it is certain."""

from __future__ import annotations

import math
from dataclasses import replace

from kefu_preprocess.domain.bars.bottom import find_bottom_bar, find_home_indicator
from kefu_preprocess.domain.bars.sides import Sides, find_side_bars
from kefu_preprocess.domain.bars.status import CERTAIN, StatusBar, find_status_bar
from kefu_preprocess.domain.bars.strip import top_strip
from kefu_preprocess.domain.decode import Pixels
from kefu_preprocess.domain.values import Crop, CropMode

# Confidence from which a caller who insists gets the likeliest bar.
_LIKELY = 0.3
# Confidence that a clock alone gives.
_PLAUSIBLE = 0.5
# How sure one can be that a picture has no bar, when nothing on it looks like one: some bars cannot be read.
_NOTHING_SEEN = 0.95
# Three buttons, or an indicator, without a status bar: their shapes and places say what they are, no clock confirms it.
_BY_SHAPE = 0.8
# What may be left of a band at a side, over the height.
_REST = 0.01


def find_crop(pixels: Pixels, mode: CropMode) -> Crop:
    """What to cut off `pixels` (RGB), in their own pixels."""
    if mode is CropMode.FORBID:
        return Crop(kind="forbidden")
    sides = find_side_bars(pixels)
    # The edge of a band at a side would pass for the frame of a drawn phone, and so would the rest that is left of it.
    rest = math.ceil(_REST * pixels.shape[0])
    strip = top_strip(
        pixels[
            :,
            sides.left + rest * (sides.left > 0) : pixels.shape[1]
            - sides.right
            - rest * (sides.right > 0),
        ]
    )
    bar = None if strip is None else find_status_bar(strip)
    certain = bar is not None and bar.confidence >= CERTAIN
    if not (certain or sides.sure):
        if sides.kind:
            strip = top_strip(pixels)
            bar = None if strip is None else find_status_bar(strip)
        sides = Sides()
    if strip is None:
        return Crop(kind="none", confidence=_NOTHING_SEEN)
    bottom = None
    if bar is not None and (bar.confidence >= CERTAIN or _laid_out_like_one(bar)):
        bottom = find_bottom_bar(pixels)
        if bottom is not None and bar.confidence < CERTAIN:
            # A navigation bar says that the picture is a phone's whole screen: so the time on its first row is its own.
            bar = replace(bar, confidence=CERTAIN)
    least = _LIKELY if mode is CropMode.FORCE else CERTAIN
    top = bar.cut // strip.scale if bar is not None and bar.confidence >= least else 0
    if bottom is None and not sides.kind:
        # Without a clock one pill is little to go by: it is looked for where an iPhone held across has it.
        bottom = find_home_indicator(pixels)
    kinds = ("status_bar" if top else "", "" if bottom is None else bottom.kind, sides.kind)
    if not any(kinds):
        if bar is None:
            return Crop(kind="none", confidence=_NOTHING_SEEN)
        return Crop(kind="unsure", confidence=1.0 - bar.confidence)
    return Crop(
        top=top,
        bottom=0 if bottom is None else bottom.height,
        left=sides.left,
        right=sides.right,
        confidence=bar.confidence if bar is not None and top else _BY_SHAPE,
        kind="+".join(filter(None, kinds)),
    )


def _laid_out_like_one(bar: StatusBar) -> bool:
    return bar.tidy and bar.confidence >= _PLAUSIBLE
