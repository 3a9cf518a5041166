"""Faults are found where they were made, and nowhere else."""

from __future__ import annotations

import random

import cv2
import numpy as np
import pytest

from bench.pictures_screens import phone_screen
from kefu_preprocess.domain.advice import advice_for
from kefu_preprocess.domain.quality import examine
from kefu_preprocess.domain.values import QualityKind
from tests.unit.preprocess.pictures import noise

Pixels = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]


def photo(seed: int = 3) -> Pixels:
    """Soft colours, hard letters, and a camera's grain."""
    pixels = (noise(900, 700, seed) // 2 + 40).astype(np.uint8)
    for row in range(80, 660, 60):
        cv2.putText(
            pixels, "Invoice 20471 total 93.60", (60, row), 0, 1.2, (235, 235, 235), 2, cv2.LINE_AA
        )
    grain = np.random.default_rng(seed).normal(0, 4, pixels.shape)
    return np.clip(pixels + grain, 0, 255).astype(np.uint8)


def kinds(pixels: Pixels) -> set[QualityKind]:
    return {each.kind for each in examine(pixels, "en").findings}


def test_good_pictures_have_no_faults() -> None:
    assert kinds(photo()) == set()
    for seed in (5000, 5001, 5004):
        screen = phone_screen(random.Random(seed)).pixels
        if min(screen.shape[:2]) >= 320:
            assert QualityKind.DARK not in kinds(screen)
            assert QualityKind.GLARE not in kinds(screen)


@pytest.mark.parametrize("sigma", [2.5, 4.0, 6.0])
def test_blur_is_found_and_grows(sigma: float) -> None:
    pixels = np.asarray(cv2.GaussianBlur(photo(), (0, 0), sigma), np.uint8)
    (found,) = [each for each in examine(pixels, "en").findings if each.kind is QualityKind.BLUR]
    assert found.value > 3.5
    worse = np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)
    (more,) = [each for each in examine(worse, "en").findings if each.kind is QualityKind.BLUR]
    assert more.value > found.value


def test_a_dark_photo_is_dark_and_a_dark_theme_is_not() -> None:
    assert kinds((photo() * 0.3).astype(np.uint8)) == {QualityKind.DARK}
    theme = np.full((800, 600, 3), 12, np.uint8)
    for row in range(40, 780, 40):
        cv2.putText(
            theme, "Settings and account", (30, row), 0, 0.9, (230, 230, 230), 2, cv2.LINE_AA
        )
    assert kinds(theme) == set()


def test_a_reflection_is_glare_and_a_white_page_is_not() -> None:
    pixels = photo().astype(np.float32)
    y, x = np.mgrid[0:700, 0:900]
    pixels += (330 * np.exp(-((x - 450) ** 2 + (y - 300) ** 2) / (2 * 120**2)))[:, :, None]
    assert QualityKind.GLARE in kinds(np.clip(pixels, 0, 255).astype(np.uint8))
    page = np.full((800, 600, 3), 255, np.uint8)
    for row in range(40, 780, 40):
        cv2.putText(page, "An ordinary white page", (30, row), 0, 0.9, (20, 20, 20), 2, cv2.LINE_AA)
    assert kinds(page) == set()


def test_a_thumbnail_is_too_small() -> None:
    found = examine(np.ascontiguousarray(photo()[:180, :200]), "en").findings
    assert QualityKind.TOO_SMALL in {each.kind for each in found}


def test_a_page_whose_lines_run_over_the_edge_is_cut_off() -> None:
    page = np.full((900, 600, 3), 255, np.uint8)
    for row in range(40, 880, 40):
        cv2.putText(
            page, "MMMMM these lines go on and on", (-14, row), 0, 1.1, (20, 20, 20), 3, cv2.LINE_AA
        )
    assert QualityKind.CUT_OFF in kinds(page)
    inside = np.full_like(page, 255)
    inside[:, 60:540] = page[:, 60:540]
    assert QualityKind.CUT_OFF not in kinds(inside)


@pytest.mark.parametrize("period", [2.6, 3.3, 4.1])
def test_the_grid_of_a_photographed_screen_is_seen(period: float) -> None:
    y, x = np.mgrid[0:700, 0:900]
    turned = x * np.cos(0.07) + y * np.sin(0.07)
    grid = 1 + 0.2 * np.sin(2 * np.pi * turned / period)
    pixels = np.clip(photo() * grid[:, :, None] * 0.8, 0, 255).astype(np.uint8)
    assert QualityKind.SCREEN_OF_SCREEN in kinds(pixels)


def test_advice_is_in_the_customers_language() -> None:
    for kind in QualityKind:
        assert advice_for(kind, "zh-CN") == advice_for(kind, "zh") != advice_for(kind, "en")
        assert advice_for(kind, "fr") == advice_for(kind, "en")
        assert advice_for(kind, "") == advice_for(kind, "en")
