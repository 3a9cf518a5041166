"""Faults are found where they were made, and nowhere else."""

from __future__ import annotations

import random

import cv2
import numpy as np
import pytest

from bench.pictures.cameras import photo_of_screen, photographed
from bench.pictures.faults import cut_through_text, glare, lamp_in_the_dark, motion
from bench.pictures.screens import phone_screen
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


def sheet() -> Pixels:
    """A white page of text with margins, to be photographed."""
    page = np.full((1000, 760, 3), 240, np.uint8)
    for line, row in enumerate(range(90, 930, 34)):
        words = f"Item {line} of the invoice 20471, in total 93.60"
        cv2.putText(page, words[: 30 + line % 14], (60, row), 0, 0.8, (20, 20, 20), 2, cv2.LINE_AA)
    return page


def test_a_moved_camera_is_blur_though_strokes_along_the_movement_stay_sharp() -> None:
    for seed in range(3):
        pixels = photographed(sheet(), random.Random(seed))
        assert QualityKind.BLUR not in kinds(pixels), seed
        moved = motion(15)(pixels, random.Random(seed))
        assert QualityKind.BLUR in kinds(moved), seed


def test_letters_of_a_large_photo_may_have_wider_edges() -> None:
    """A picture of 12 megapixels is made smaller before anyone reads it, and its edges with it."""
    pixels = np.asarray(cv2.GaussianBlur(photo(), (0, 0), 1.2), np.uint8)
    large = np.asarray(cv2.resize(pixels, (4000, 3100), interpolation=cv2.INTER_CUBIC), np.uint8)
    edges = examine(large, "en").edges
    assert edges is not None
    assert edges > 3.5
    assert QualityKind.BLUR not in kinds(large)


def test_a_lamp_in_the_picture_makes_no_dark_sheet_bright() -> None:
    pixels = photographed(sheet(), random.Random(4))
    assert kinds(pixels) == set()
    for seed in range(4):
        assert QualityKind.DARK in kinds(lamp_in_the_dark(0.25)(pixels, random.Random(seed)))


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


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
def test_a_reflection_on_a_white_sheet_is_glare_though_the_sheet_is_nearly_as_bright(
    share: float,
) -> None:
    found = sum(
        QualityKind.GLARE
        in kinds(glare(share)(photographed(sheet(), random.Random(seed)), random.Random(seed)))
        for seed in range(4)
    )
    assert found >= 3


def test_a_thumbnail_is_too_small() -> None:
    small = np.asarray(cv2.resize(photo(), (220, 170), interpolation=cv2.INTER_AREA), np.uint8)
    assert QualityKind.TOO_SMALL in kinds(small)


def test_a_small_cutting_with_large_letters_is_not_too_small() -> None:
    assert QualityKind.TOO_SMALL not in kinds(np.ascontiguousarray(sheet()[150:400, :600]))


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


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_a_photographed_sheet_that_is_cut_through_its_letters_is_cut_off(side: str) -> None:
    found = 0
    for seed in range(3):
        pixels = photographed(sheet(), random.Random(seed))
        assert QualityKind.CUT_OFF not in kinds(pixels), seed
        found += QualityKind.CUT_OFF in kinds(cut_through_text(pixels, side, random.Random(seed)))
    assert found >= 2


def test_a_list_that_scrolls_on_below_is_not_cut_off() -> None:
    assert kinds(cut_through_text(sheet(), "bottom", random.Random(1))) == set()


@pytest.mark.parametrize("period", [2.2, 3.0, 4.0])
def test_the_grid_of_a_photographed_screen_is_seen(period: float) -> None:
    found = sum(
        QualityKind.SCREEN_OF_SCREEN
        in kinds(photo_of_screen(sheet(), random.Random(seed), period, (640, 512)))
        for seed in range(4)
    )
    assert found >= 3


def test_paper_and_dithered_pictures_have_no_grid() -> None:
    for seed in range(2):
        pixels = photographed(sheet(), random.Random(seed))
        assert QualityKind.SCREEN_OF_SCREEN not in kinds(pixels), seed
    # Ordered dithering, as in a picture of few colours, is as regular as a display.
    y, x = np.mgrid[0:768, 0:768]
    threshold = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]])[
        y % 4, x % 4
    ]
    shade = np.where((x + y) / 1536 * 16 > threshold, 200, 140).astype(np.uint8)
    assert QualityKind.SCREEN_OF_SCREEN not in kinds(np.dstack([shade, shade, shade]))


def test_advice_is_in_the_customers_language() -> None:
    for kind in QualityKind:
        assert advice_for(kind, "zh-CN") == advice_for(kind, "zh") != advice_for(kind, "en")
        assert advice_for(kind, "fr") == advice_for(kind, "en")
        assert advice_for(kind, "") == advice_for(kind, "en")
