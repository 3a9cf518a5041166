"""System bars on drawn screens of many designs, and on pictures that only look so."""

from __future__ import annotations

import random
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageDraw

from bench.pictures.lookalikes import lookalike
from bench.pictures.makers import maker_screen
from bench.pictures.screens import phone_screen
from bench.pictures.signs import SIGNS, Spot, font_of
from kefu_preprocess.domain.bars.detect import find_crop
from kefu_preprocess.domain.pipeline import prepare
from kefu_preprocess.domain.values import CropMode, Job, Limits
from tests.unit.preprocess.pictures import encoded

Screen = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]


def plain_phone(buttons: bool = False, handle: bool = False) -> Screen:
    """A white 1080×2160 screen: clock left, Wi-Fi and battery right, from row 13 to row 45."""
    picture = Image.new("RGB", (1080, 2160), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((44, 30), "11:25", (20, 20, 20), font=font_of(36), anchor="lm")
    edge = 1040.0
    for name in ("battery", "wifi"):
        edge -= SIGNS[name](Spot(draw, edge, 30, 30, (20, 20, 20), random.Random(4))) + 14
    draw.text((44, 130), "Orders", (20, 20, 20), font=font_of(60))
    draw.rectangle([40, 400, 1040, 900], fill=(90, 120, 200))
    if handle:
        draw.rounded_rectangle([400, 2128, 680, 2138], 5, fill=(30, 30, 30))
    if buttons:
        draw.rectangle([0, 2034, 1080, 2160], fill=(0, 0, 0))
        draw.polygon([(240, 2097), (280, 2074), (280, 2120)], fill="white")
        draw.ellipse([518, 2075, 562, 2119], fill="white")
        draw.rectangle([800, 2077, 840, 2117], fill="white")
    return np.array(picture)


def test_most_drawn_screens_lose_their_bar_and_none_its_content() -> None:
    harmless = 0
    for seed in range(5000, 5060):
        screen = phone_screen(random.Random(seed))
        crop = find_crop(screen.pixels, CropMode.AUTO)
        # One row of grace: the drawing's edges are anti-aliased.
        assert crop.top <= screen.content_top + 1, (seed, screen.kind)
        assert crop.top == 0 or crop.top >= screen.icons_bottom - 1, (seed, screen.kind)
        harmless += crop.top > 0
    assert harmless >= 56


def test_most_makers_screens_lose_their_bar_and_none_its_content() -> None:
    harmless = 0
    for seed in range(5000, 5060):
        screen = maker_screen(random.Random(seed))
        crop = find_crop(screen.pixels, CropMode.AUTO)
        assert crop.top <= screen.content_top + 1, (seed, screen.kind)
        assert crop.top == 0 or crop.top >= screen.icons_bottom - 1, (seed, screen.kind)
        harmless += crop.top > 0
    assert harmless >= 56


def test_no_lookalike_is_touched() -> None:
    for seed in range(5000, 5080):
        screen = lookalike(random.Random(seed))
        crop = find_crop(screen.pixels, CropMode.AUTO)
        assert (crop.top, crop.bottom) == (0, 0), (seed, screen.kind)


def test_a_plain_bar_is_cut_as_far_below_its_glyphs_as_they_are_from_the_top() -> None:
    crop = find_crop(plain_phone(), CropMode.AUTO)
    assert crop.kind == "status_bar"
    assert 46 <= crop.top <= 66
    assert crop.bottom == 0
    assert crop.confidence >= 0.9


def test_a_gesture_handle_goes_with_as_much_above_it_as_is_below() -> None:
    crop = find_crop(plain_phone(handle=True), CropMode.AUTO)
    assert crop.kind == "status_bar+gesture_bar"
    assert 2160 - crop.bottom <= 2126
    assert crop.bottom <= 60


def test_three_buttons_go_with_their_band() -> None:
    crop = find_crop(plain_phone(buttons=True), CropMode.AUTO)
    assert crop.kind == "status_bar+navigation_bar"
    assert 120 <= crop.bottom <= 126


def test_a_handle_over_text_stays_with_the_text() -> None:
    pixels = plain_phone(handle=True)
    pixels[2100:2150:6, 100:980:9] = 0
    crop = find_crop(pixels, CropMode.AUTO)
    assert crop.kind == "status_bar"
    assert crop.bottom == 0


def test_a_handle_without_a_status_bar_stays() -> None:
    pixels = plain_phone(handle=True)
    pixels[:100] = 255
    assert find_crop(pixels, CropMode.AUTO).bottom == 0


def test_forbid_is_obeyed() -> None:
    crop = find_crop(plain_phone(), CropMode.FORBID)
    assert (crop.kind, crop.top) == ("forbidden", 0)


def test_force_cuts_what_auto_is_unsure_of_and_nothing_where_there_is_nothing() -> None:
    pixels = plain_phone()
    pixels[:100, 600:] = 255  # only the clock is left: that alone is not enough
    assert find_crop(pixels, CropMode.AUTO).kind == "unsure"
    assert 46 <= find_crop(pixels, CropMode.FORCE).top <= 66
    blank = np.full((2160, 1080, 3), 255, np.uint8)
    assert find_crop(blank, CropMode.FORCE).top == 0


@pytest.mark.parametrize("seed", [379, 385, 532])
def test_an_edge_that_jpeg_smeared_costs_no_row_of_content(seed: int) -> None:
    """A band's edge was taken where it is steepest, a row or two inside the content; and where a photo began below a
    lively bar no edge was seen at all, and the cut went as deep as the padding."""
    screen = phone_screen(random.Random(seed))
    crop = find_crop(screen.pixels, CropMode.AUTO)
    assert screen.icons_bottom <= crop.top <= screen.content_top, screen.kind


def in_a_bezel(side: int, corners: int, quality: int) -> Screen:
    """A phone with round corners and a dark bezel, `side` columns of a pale backdrop at each side of it."""
    phone = Image.fromarray(plain_phone()[:1500])
    mask = Image.new("L", phone.size, 0)
    ImageDraw.Draw(mask).rounded_rectangle([0, 0, 1080, 1700], corners, fill=255)
    picture = Image.new("RGB", (1080 + 2 * side + 60, 1510), (96, 110, 200))
    outline = [side, -20, side + 1140, 1800]
    ImageDraw.Draw(picture).rounded_rectangle(outline, corners + 30, fill=(20, 20, 24))
    picture.paste(phone, (side + 30, 10), mask)
    with Image.open(BytesIO(encoded(np.array(picture), "JPEG", quality=quality))) as opened:
        return np.array(opened)


@pytest.mark.parametrize("corners", [20, 60, 110])
@pytest.mark.parametrize("side", [0, 40, 300])
def test_a_phone_with_round_corners_in_its_bezel_stays_whole(side: int, corners: int) -> None:
    """Nine of 250 drawn advertisements lost a bar: the corner's edge stood on no column in every row of the bar."""
    for quality in (60, 90):
        assert find_crop(in_a_bezel(side, corners, quality), CropMode.AUTO).top == 0


def test_round_corners_of_the_screenshot_itself_are_no_frame() -> None:
    phone = Image.new("RGB", (1080, 2160), (0, 0, 0))
    mask = Image.new("L", phone.size, 0)
    ImageDraw.Draw(mask).rounded_rectangle([0, 0, 1079, 2159], 60, fill=255)
    phone.paste(Image.fromarray(plain_phone()), (0, 0), mask)
    assert 46 <= find_crop(np.array(phone), CropMode.AUTO).top <= 66


def test_two_phones_side_by_side_are_no_screen() -> None:
    """The second phone's clock was not read, but its Wi-Fi fan was: a phone has one."""
    phone = np.ascontiguousarray(plain_phone()[:1400, :])
    other = phone.copy()
    other[:100, :600] = 255
    assert find_crop(np.hstack([phone, other]), CropMode.AUTO).top == 0


@pytest.mark.parametrize("left", [300, 560, 700])
def test_a_row_with_two_times_is_a_timetable(left: int) -> None:
    """A phone shows one clock."""
    picture = Image.fromarray(plain_phone())
    draw = ImageDraw.Draw(picture)
    draw.text((left, 30), "12:40", (20, 20, 20), font=font_of(36), anchor="lm")
    assert find_crop(np.array(picture), CropMode.AUTO).top == 0


def test_a_bar_over_content_is_cut_close_below_its_glyphs() -> None:
    """Where something begins within the fringe of the glyphs nobody can say where the bar ends."""
    pixels = plain_phone()
    pixels[52:58, ::3] = 90
    crop = find_crop(pixels, CropMode.AUTO)
    assert crop.top <= 52


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_a_bar_on_another_side_is_no_status_bar(quarter_turns: int) -> None:
    turned = np.ascontiguousarray(np.rot90(plain_phone(), quarter_turns))
    assert find_crop(turned, CropMode.AUTO).top == 0


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (30, 90, 200)])
@pytest.mark.parametrize(
    "size", [(1, 1), (3000, 20), (20, 3000), (179, 400), (180, 320), (1080, 1920)]
)
def test_empty_pictures_of_any_shape_stay_whole(
    size: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    pixels = np.full((size[1], size[0], 3), colour, np.uint8)
    assert find_crop(pixels, CropMode.AUTO).kind == "none"


def test_the_report_is_in_pixels_of_the_original_even_when_it_was_decoded_small() -> None:
    whole = np.kron(plain_phone(), np.ones((2, 2, 1))).astype(np.uint8)
    prepared = prepare(Job(data=encoded(whole, "JPEG", quality=92)), Limits())
    assert prepared.report.original_size == (2160, 4320)
    assert prepared.report.crop.kind == "status_bar"
    assert 92 <= prepared.report.crop.top <= 132
