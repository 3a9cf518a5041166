"""Photos taken in low light become brighter; whatever is dark because it was designed so stays as it is."""

from __future__ import annotations

import random

import cv2
import numpy as np
import pytest

from bench.pictures.screens import phone_screen
from kefu_preprocess.domain.enhance import contrast_and_sharpen, dark_photo_gain
from kefu_preprocess.domain.pipeline import prepare
from kefu_preprocess.domain.values import Job, Limits, Prepared, Profile
from tests.unit.preprocess.pictures import encoded, noise, opened

Pixels = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]


def written(paper: int, ink: int, size: tuple[int, int] = (600, 800)) -> Pixels:
    pixels = np.full((size[1], size[0], 3), paper, np.uint8)
    for row in range(40, size[1] - 20, 40):
        cv2.putText(pixels, "Invoice 20471 total 93.60", (30, row), 0, 1.0, (ink,) * 3, 2)
    return pixels


def in_low_light(pixels: Pixels, light: float = 0.28) -> Pixels:
    """As a camera sees it: less light, and the sensor's grain in what is left."""
    grain = np.random.default_rng(7).normal(0, 4, pixels.shape)
    return np.clip(pixels * light + grain, 0, 255).astype(np.uint8)


def made(pixels: Pixels, lift: float, kind: str = "PNG") -> Prepared:
    profile = Profile(contrast=1.0, sharpen=0.0, webp_quality=90, lift_dark=lift)
    return prepare(Job(data=encoded(pixels, kind), profile=profile), Limits())


def lifted(prepared: Prepared) -> bool:
    return any(step.startswith("lift") for step in prepared.report.steps)


def smooth_in_low_light(pixels: Pixels) -> Pixels:
    """As a messenger passes it on: the grain is gone, and flat squares are left."""
    data = encoded(in_low_light(pixels), "JPEG", quality=40)
    return np.asarray(opened(data).convert("RGB"), np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_letters_of_a_dark_photo_survive_the_encoder(kind: str) -> None:
    """Faint letters of a receipt fell under WebP's quantisation: 875 lines read of 951 instead of 893."""
    pixels = in_low_light(written(245, 190))
    dark, light = made(pixels, 0.0, kind), made(pixels, 3.0, kind)
    assert lifted(light)
    before, after = (np.asarray(opened(each.data).convert("L"), float) for each in (dark, light))
    assert after.mean() > 2.2 * before.mean()
    # Nearly white, not clipped.
    assert 200 < np.percentile(after, 99.9) < 250
    assert made(pixels, 3.0, kind).data == light.data


def test_a_dark_sheet_without_any_grain_is_lifted_as_well() -> None:
    """JPEG had made its paper as flat as a drawing's, and it stayed dark: 878 lines read of 951 instead of 899."""
    assert lifted(made(smooth_in_low_light(written(245, 190)), 2.0))
    assert lifted(made((written(245, 60) * 0.28).astype(np.uint8), 2.0))


def test_the_gain_has_a_limit() -> None:
    pixels = in_low_light(written(245, 60), light=0.05)
    assert dark_photo_gain(pixels, 3.0, has_edges=False) == 3.0
    assert dark_photo_gain(pixels, 2.0, has_edges=False) == 2.0


@pytest.mark.parametrize(
    "pixels",
    [
        written(12, 100), written(0, 70), written(18, 235), written(40, 20),
        # A gradient behind it, as dark designs like it.
        np.maximum(np.linspace(10, 60, 800).astype(np.uint8)[:, None, None], written(0, 90)),
        noise(600, 800), in_low_light(written(245, 60), light=0.6),
    ],
    ids=["dim theme", "dim on black", "dark theme", "dark on dark", "gradient", "photo", "shade"],
)  # fmt: skip
def test_what_is_no_dark_photo_keeps_its_bytes(pixels: Pixels) -> None:
    for kind in ("PNG", "JPEG"):
        assert made(pixels, 3.0, kind).data == made(pixels, 0.0, kind).data


def test_drawn_screens_keep_their_bytes() -> None:
    for seed in range(5000, 5006):
        pixels = phone_screen(random.Random(seed)).pixels
        assert made(pixels, 3.0).data == made(pixels, 0.0).data


@pytest.mark.parametrize("colour", [(255, 255, 255), (250, 20, 20), (20, 20, 250)])
def test_a_lit_sign_in_the_night_is_not_burnt_out(colour: tuple[int, int, int]) -> None:
    """The brightest half percent is night as well; all that can be read is the sign."""
    pixels = np.full((900, 900, 3), 20, np.uint8)
    cv2.putText(pixels, "OPEN", (400, 450), 0, 0.8, colour, 2)
    pixels = in_low_light(pixels, light=1.0)
    assert made(pixels, 3.0).data == made(pixels, 0.0).data


def test_light_contrast_and_sharpening_in_one_pass_are_the_same_as_one_after_the_other() -> None:
    pixels = (in_low_light(noise(200, 150), 0.25) // 2 + 15).astype(np.uint8)
    brighter = cv2.addWeighted(pixels, 2.0, pixels, 0.0, 0.0)
    wanted = contrast_and_sharpen(np.asarray(brighter, np.uint8), 1.3, 0.5)
    once = contrast_and_sharpen(pixels, 1.3, 0.5, 2.0)
    assert int(np.abs(once.astype(int) - wanted.astype(int)).max()) <= 2
    assert int(np.abs(once.astype(int) - pixels.astype(int)).max()) > 20


def test_a_gain_counts_as_contrast_and_needs_less_quality() -> None:
    """A card's WebP 95 made 369 kB of what 85 says in 169, most of them grain."""
    data = encoded(in_low_light(written(245, 190)), "PNG")
    steps = {
        quality: prepare(
            Job(
                data=data,
                profile=Profile(contrast=1.3, sharpen=0.0, webp_quality=quality, lift_dark=2.0),
            ),
            Limits(),
        ).report.steps
        for quality in (95, 70)
    }
    assert steps[95] == ("decode", "lift 2.00", "webp 85")
    assert steps[70] == ("decode", "lift 2.00", "webp 70")
