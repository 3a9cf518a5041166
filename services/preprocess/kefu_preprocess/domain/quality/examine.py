"""What makes a picture hard to read, as numbers, with an advice that can be passed on to whoever sent it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from kefu_preprocess.domain.advice import INNER_SCREEN, advice_for
from kefu_preprocess.domain.decode import Pixels
from kefu_preprocess.domain.quality import frame, light, screens, sharpness
from kefu_preprocess.domain.quality.views import Measure, Views
from kefu_preprocess.domain.values import Finding, QualityKind


@dataclass(frozen=True, slots=True)
class Quality:
    """`edges`: width of the sharper edges in pixels, None where nothing has contrast."""

    findings: tuple[Finding, ...]
    edges: float | None


def examine(pixels: Pixels, language: str) -> Quality:
    """Faults of an RGB picture. `language` is BCP 47: advice is in Chinese for zh, else in English."""
    views = Views(pixels)
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


# Pixels, roughly, of the largest picture that a model is shown: a larger one is made smaller, and its edges with it.
_SHOWN = 3_000_000


def _as_shown(views: Views, width: float) -> float:
    return width * min(1.0, math.sqrt(_SHOWN / (views.rows * views.columns)))


def _blur(views: Views) -> Measure:
    if views.edges is None:
        return None
    value = _as_shown(views, views.edges)
    return ((value - sharpness.WIDE) / 6 + 0.2, value) if value > sharpness.WIDE else None


def _smear(views: Views) -> Measure:
    """Told only of a picture that is not blurred altogether: both have one advice."""
    if views.edges is None or views.edges < sharpness.STEADY or _blur(views) is not None:
        return None
    width = sharpness.smear_width(views.piece)
    if width is None:
        return None
    value = _as_shown(views, width)
    return ((value - sharpness.SMEARED) / 6 + 0.2, value) if value > sharpness.SMEARED else None


_MEASURES: tuple[tuple[QualityKind, Callable[[Views], Measure], str, str], ...] = (
    (
        QualityKind.BLUR,
        _blur,
        "width of the sharper edges, pixels at 3 megapixels at most",
        QualityKind.BLUR,
    ),
    (
        QualityKind.BLUR,
        _smear,
        "width of edges across a movement, pixels at 3 megapixels at most",
        QualityKind.BLUR,
    ),
    (QualityKind.DARK, light.dark, "brightness of what is lit, 0-255", QualityKind.DARK),
    (QualityKind.GLARE, light.glare, "washed-out share of the picture, 0-1", QualityKind.GLARE),
    (QualityKind.TOO_SMALL, frame.too_small, "shorter side, pixels", QualityKind.TOO_SMALL),
    (
        QualityKind.CUT_OFF,
        frame.cut_off,
        "lines or strokes of letters that a side cuts, count",
        QualityKind.CUT_OFF,
    ),
    (
        QualityKind.SCREEN_OF_SCREEN,
        screens.photo_of_screen,
        "spectral peak over its surroundings, nepers",
        QualityKind.SCREEN_OF_SCREEN,
    ),
    (
        QualityKind.SCREEN_OF_SCREEN,
        screens.screen_inside,
        "share of the picture that a screenshot inside it covers, 0-1",
        INNER_SCREEN,
    ),
)
