"""Phones held across: what their system draws at the sides and at the bottom, and pictures as wide that have none."""

from __future__ import annotations

import random
from collections import Counter
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageDraw

from bench.pictures.across import not_across, phone_across
from bench.pictures.screens import phone_screen
from bench.pictures.signs import SIGNS, Spot, font_of
from kefu_preprocess.domain.bars.detect import find_crop
from kefu_preprocess.domain.pipeline import prepare
from kefu_preprocess.domain.values import Crop, CropMode, Job, Limits
from tests.unit.preprocess.pictures import encoded

Screen = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]
BAND = 130


def across(*, buttons: str = "right", clock: bool = True, ground: int = 0) -> Screen:
    """A 2160×1080 page with text, three buttons on a band of `BAND` columns, and a status bar above."""
    picture = Image.new("RGB", (2160, 1080), (250, 250, 250))
    draw = ImageDraw.Draw(picture)
    for row in range(4, 11):
        draw.text((400, row * 90), "Orders and refunds", (20, 20, 20), font=font_of(40))
    if clock:
        draw.text((180, 34), "11:25", (20, 20, 20), font=font_of(36), anchor="lm")
        edge = 1960.0
        for name in ("battery", "wifi"):
            edge -= SIGNS[name](Spot(draw, edge, 34, 30, (20, 20, 20), random.Random(4))) + 14
    if buttons:
        left = 2160 - BAND if buttons == "right" else 0
        x = left + BAND // 2
        draw.rectangle([left, 0, left + BAND - 1, 1080], fill=(ground, ground, ground))
        ink = (255, 255, 255) if ground < 128 else (90, 90, 90)
        draw.rectangle([x - 22, 258, x + 22, 302], fill=ink)
        draw.ellipse([x - 22, 518, x + 22, 562], fill=ink)
        draw.polygon([(x - 24, 800), (x + 18, 776), (x + 18, 824)], fill=ink)
    return np.array(picture)


def cut(pixels: Screen, mode: CropMode = CropMode.AUTO) -> Crop:
    return find_crop(pixels, mode)


@pytest.mark.parametrize("side", ["left", "right"])
def test_three_buttons_at_a_side_go_with_their_band(side: str) -> None:
    crop = cut(across(buttons=side))
    assert crop.kind == "status_bar+side_navigation_bar"
    assert BAND - 4 <= getattr(crop, side) <= BAND
    assert {"left": crop.right, "right": crop.left}[side] == 0
    assert 50 <= crop.top <= 70


def test_an_app_that_hides_the_status_bar_keeps_only_what_is_not_the_systems() -> None:
    crop = cut(across(clock=False))
    assert (crop.kind, crop.top, crop.left) == ("side_navigation_bar", 0, 0)
    assert BAND - 4 <= crop.right <= BAND


def test_buttons_on_the_pages_own_colour_without_a_clock_stay() -> None:
    assert cut(across(clock=False, ground=250)).kind == "none"


def test_a_cutouts_black_band_goes_where_a_clock_says_that_it_is_a_phone() -> None:
    pixels = across(buttons="")
    pixels[:, :90] = 0
    crop = cut(pixels)
    assert crop.kind == "status_bar+cutout_band"
    assert 86 <= crop.left <= 90
    bare = across(buttons="", clock=False)
    bare[:, :90] = 0
    assert cut(bare).kind in ("none", "unsure")


def indicator(
    left: int = 805,
    right: int = 1354,
    *,
    thick: int = 13,
    ends: int = 7,
    width: int = 2339,
    ink: tuple[int, int, int] = (20, 20, 20),
) -> Screen:
    """A page of `width` × 1080 with a pill 22 rows above its end; an iPhone's picture is 2339 wide."""
    picture = Image.new("RGB", (width, 1080), (250, 250, 250))
    draw = ImageDraw.Draw(picture)
    for row in range(4, 10):
        draw.text((400, row * 90), "Orders and refunds", (20, 20, 20), font=font_of(40))
    draw.rounded_rectangle([left, 1058 - thick, right, 1057], ends, fill=ink)
    return np.array(picture)


def test_a_home_indicator_goes_with_as_much_above_it_as_it_is_high() -> None:
    """An iPhone held across shows no status bar; the pill has one size and one place."""
    pixels = indicator(870, 1469)
    crop = cut(pixels)
    assert crop.kind == "home_indicator"
    assert 22 + 13 + 10 <= crop.bottom <= 22 + 13 + 16


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(indicator(770, 1369), id="beside the middle"),
        pytest.param(indicator(670, 1669), id="too long"),
        pytest.param(indicator(870, 1469, thick=24), id="too thick"),
        pytest.param(indicator(870, 1469, ends=0), id="square ends: a ruler"),
        pytest.param(indicator(870, 1469, ink=(200, 30, 60)), id="coloured"),
        pytest.param(indicator(780, 1379, width=2160), id="no iPhone is 2:1"),
    ],
)
def test_what_differs_from_a_home_indicator_in_one_thing_stays(pixels: Screen) -> None:
    assert cut(pixels).bottom == 0


def test_a_slides_ruler_that_was_blurred_or_compressed_stays() -> None:
    """Three drawn slides lost one: a blurred corner lacks a pixel or two as a round one does."""
    for quality in (40, 60, 75, 90, 100):
        ruler = Image.fromarray(indicator(870, 1469, ends=0))
        for picture in (ruler.resize((1170, 540), Image.Resampling.BICUBIC), ruler):
            pixels = np.asarray(
                Image.open(BytesIO(encoded(np.array(picture), "JPEG", quality=quality)))
            )
            assert cut(pixels).bottom == 0, quality


def test_black_on_both_sides_is_a_letterboxed_picture() -> None:
    pixels = across(buttons="", clock=False)
    pixels[:, :90] = 0
    pixels[:, -90:] = 0
    assert cut(pixels).left == 0


def test_forbid_is_obeyed_at_the_sides() -> None:
    assert cut(across(), CropMode.FORBID).right == 0


def test_an_upright_phone_has_no_side_bars() -> None:
    screen = phone_screen(random.Random(1))
    crop = cut(screen.pixels)
    assert (crop.left, crop.right) == (0, 0)


def test_the_report_and_the_elements_are_in_pixels_of_the_original() -> None:
    pixels = across(buttons="left")
    job = Job(data=encoded(pixels, "PNG"), find_elements=True, draw_elements=True)
    prepared = prepare(job, Limits())
    report = prepared.report
    assert report.prepared_size == (2160 - report.crop.left, 1080 - report.crop.top)
    words = [each.box for each in report.elements if each.box.left >= 390]
    assert any(abs(box.left - 400) <= 12 for box in words)
    assert all(each.box.left >= report.crop.left for each in report.elements)


def test_drawn_phones_lose_no_content_and_most_lose_their_bars() -> None:
    found: Counter[bool] = Counter()
    for seed in range(9000, 9024):
        screen = phone_across(random.Random(seed))
        crop = cut(screen.pixels)
        cuts = (crop.left, crop.right, crop.bottom)
        truth = (screen.left, screen.right, screen.bottom)
        assert all(a <= b for a, b in zip(cuts, truth, strict=True)), (seed, screen.kind)
        # Every home indicator: half of them were longer than the shapes that were looked at.
        assert (crop.bottom > 0) == (screen.bottom > 0), (seed, screen.kind)
        found[[a > 0 for a in cuts] == [b > 0 for b in truth]] += 1
    assert found[True] >= 21


@pytest.mark.parametrize("seed", [228, 2])
def test_a_band_whose_end_is_a_guess_is_cut_short_of_it(seed: int) -> None:
    """One drawn screen of 300 lost a column: its band had the page's colour and was taken to be as wide as its buttons'
    two distances. What is left of a band must not pass for the frame of a phone either: the status bar has to go."""
    screen = phone_across(random.Random(seed))
    crop = cut(screen.pixels)
    assert screen.right - 24 <= crop.right <= screen.right
    assert crop.top > 0


def test_nothing_as_wide_is_touched() -> None:
    for seed in range(9000, 9036):
        screen = not_across(random.Random(seed))
        crop = cut(screen.pixels)
        cuts = (crop.top, crop.bottom, crop.left, crop.right)
        assert cuts == (0, 0, 0, 0), (seed, screen.kind)
