"""Status bars laid out in unusual ways that real screenshots showed, each beside what it must not be taken for."""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bench.pictures.maker_signs import Pen
from kefu_preprocess.domain.bars.detect import find_crop
from kefu_preprocess.domain.values import Crop, CropMode

WHITE, BLACK, TEAL = (255, 255, 255), (20, 20, 24), (0, 150, 136)


class Sheet:
    """A page with an app's bar of words below `bar` points; a point is `unit` pixels."""

    def __init__(self, width: int, height: int, unit: float, ground: tuple[int, int, int]) -> None:
        self.picture = Image.new("RGB", (width, height), ground)
        self.draw = ImageDraw.Draw(self.picture)
        self.unit, self.ink = unit, WHITE if sum(ground) < 500 else BLACK

    def pen(self, size: float, middle: float) -> Pen:
        return Pen(self.draw, self.ink, size * self.unit, middle * self.unit, 0.0, random.Random(3))

    def title(self, top: float) -> None:
        pen = self.pen(20, top + 12)
        pen.text(24 * self.unit, "Orders of this week")

    def crop(self) -> Crop:
        pixels: NDArray[np.uint8] = np.array(self.picture)
        return find_crop(pixels, CropMode.AUTO)


def lone_battery(*, fan: bool) -> Sheet:
    sheet = Sheet(886, 1920, 886 / 393, TEAL)
    pen = sheet.pen(13.5, 25)
    edge = pen.text(18 * sheet.unit, "14:40") + 12
    if fan:
        pen.from_left("wifi", edge)
    pen.sign("numbered", sheet.picture.width - 20 * sheet.unit)
    sheet.title(60)
    return sheet


def test_a_battery_alone_at_the_right_counts_where_wifi_follows_the_clock() -> None:
    crop = lone_battery(fan=True).crop()
    assert 30 * 886 / 393 < crop.top < 60 * 886 / 393


def test_a_time_and_a_box_alone_are_no_bar() -> None:
    """A parcel's time and a count in a frame, say."""
    assert lone_battery(fan=False).crop().top == 0


def tablet(*, menus: bool) -> Sheet:
    sheet = Sheet(2560, 1600, 2, (25, 118, 210))
    sheet.draw.rectangle([0, 0, 2560, 48], fill=(13, 71, 161))
    pen = sheet.pen(12, 12)
    right = 2560 - 16 - pen.width_of("8:23")
    pen.text(right, "8:23")
    right -= 14
    for name in ("battery", "triangle"):
        right -= pen.sign(name, right) + 10
    if menus:
        edge = 20.0
        for word in ("File", "Edit", "View", "Window", "Help"):
            edge = pen.text(edge, word) + 30
    sheet.title(60)
    return sheet


def test_a_tablet_held_across_has_its_clock_at_the_right_and_nothing_at_the_left() -> None:
    assert 36 <= tablet(menus=False).crop().top <= 50


def test_a_desktops_menus_stay() -> None:
    assert tablet(menus=True).crop().top == 0


def two_batteries(at: float) -> Sheet:
    """A phone's bar, and one more battery `at` a share of its width."""
    sheet = Sheet(1080, 2340, 3, (240, 241, 243))
    pen = sheet.pen(14, 22)
    pen.text(60, "17:52")
    right = 1080 - 60.0
    for name in ("battery", "wifi", "bars"):
        right -= pen.sign(name, right) + 14
    pen.sign("battery", at * 1080)
    sheet.title(70)
    return sheet


def test_an_apps_icon_that_looks_like_a_battery_is_no_second_phone() -> None:
    assert 27 * 3 < two_batteries(0.28).crop().top < 70 * 3


def test_two_phones_side_by_side_stay_whole() -> None:
    assert two_batteries(0.5).crop().top == 0


def clock_at_the_right(*, band: bool) -> Sheet:
    """Shapes that nobody knows before the clock, on a band of their own or on the page itself."""
    sheet = Sheet(1080, 1920, 3, (250, 250, 250))
    if band:
        sheet.draw.rectangle([0, 0, 1080, 72], fill=(117, 117, 117))
    sheet.ink = WHITE if band else BLACK
    pen = sheet.pen(14, 12)
    right = 1080 - 24 - pen.width_of("18:57")
    pen.text(right, "18:57")
    for wide in (20, 32):
        right -= 14 + wide
        sheet.draw.polygon(
            [(right, 50), (right + wide, 50), (right + wide / 3, 24)], fill=sheet.ink
        )
    sheet.ink = BLACK
    sheet.title(50)
    return sheet


def test_a_clock_at_the_right_of_a_band_of_its_own_needs_no_known_sign() -> None:
    assert 50 < clock_at_the_right(band=True).crop().top <= 72


def test_without_a_band_it_does() -> None:
    assert clock_at_the_right(band=False).crop().top == 0


def test_what_begins_beside_a_cameras_island_is_content() -> None:
    """The island is three times as tall as the glyphs, and as much more of the rows below was taken for its fringe: a
    count on an app's button lost its upper rows."""
    sheet = Sheet(1179, 2556, 3, WHITE)
    pen = sheet.pen(17, 30)
    pen.text(44 * 3, "11:44")
    right = 1179 - 34 * 3.0
    for name in ("battery", "wifi", "bars"):
        right -= pen.sign(name, right) + 16
    sheet.draw.rounded_rectangle([401, 34, 778, 142], 54, fill=(0, 0, 0))
    sheet.draw.ellipse([1076, 158, 1128, 210], fill=(210, 30, 40))
    sheet.title(80)
    assert 143 <= sheet.crop().top <= 158


def unknown_signs(*, percentage: str, bottom: str = "") -> Sheet:
    """A time, and at the right shapes that nobody knows before a percentage, or before nothing."""
    sheet = Sheet(1080, 2340, 3, (240, 241, 243))
    pen = sheet.pen(14, 22)
    pen.text(60, "16:12")
    right = 1080 - 60.0
    if percentage:
        right -= pen.width_of(percentage)
        pen.text(right, percentage)
    for wide in (30, 34):
        right -= 16 + wide
        sheet.draw.arc([right, 50, right + wide, 50 + wide], 20, 300, sheet.ink, 5)
        sheet.draw.line([right, 50 + wide, right + wide, 58], sheet.ink, 4)
    sheet.title(70)
    if bottom == "handle":
        sheet.draw.rounded_rectangle([390, 2312, 690, 2320], 4, fill=(30, 30, 30))
    if bottom == "rule":
        sheet.draw.rectangle([0, 2312, 1080, 2320], fill=(30, 30, 30))
    return sheet


def test_a_percentage_with_pictograms_before_it_is_one_of_charge() -> None:
    assert 29 * 3 < unknown_signs(percentage="76%").crop().top < 70 * 3


def test_a_number_without_its_sign_is_none() -> None:
    assert unknown_signs(percentage="768").crop().top == 0


def test_a_forecast_lists_times_and_percentages_as_well() -> None:
    sheet = Sheet(1080, 2340, 3, (240, 241, 243))
    pen = sheet.pen(14, 22)
    pen.text(60, "16:00")
    pen.text(940, "76%")
    sheet.draw.ellipse([850, 50, 890, 84], fill=sheet.ink)
    assert sheet.crop().top == 0


def test_a_gesture_handle_tells_that_the_first_row_is_the_phones_own() -> None:
    crop = unknown_signs(percentage="", bottom="handle").crop()
    assert 29 * 3 < crop.top < 70 * 3
    assert crop.kind == "status_bar+gesture_bar"
    assert unknown_signs(percentage="", bottom="rule").crop().top == 0
    assert unknown_signs(percentage="").crop().top == 0


def test_a_battery_may_be_round_at_both_ends() -> None:
    sheet = Sheet(1080, 2340, 3, (12, 32, 48))
    pen = sheet.pen(14, 16)
    pen.text(60, "13:57")
    right = 1080 - 70
    sheet.draw.rounded_rectangle([right - 68, 33, right, 63], 15, outline=WHITE, width=3)
    sheet.draw.rounded_rectangle([right - 62, 39, right - 6, 57], 9, fill=(70, 180, 30))
    for left in (right - 200, right - 150, right - 110):
        sheet.draw.arc([left, 34, left + 30, 64], 20, 300, WHITE, 4)
    sheet.title(60)
    assert 21 * 3 < sheet.crop().top < 60 * 3


def test_a_title_right_below_the_icons_is_not_cut() -> None:
    """A page of an app inside another began four rows below the clock, nearer than JPEG's fringe is looked at."""
    sheet = Sheet(828, 1792, 2, WHITE)
    pen = sheet.pen(15, 24)
    pen.text(50, "20:28")
    right = 828 - 40.0
    for name in ("battery", "wifi", "bars"):
        right -= pen.sign(name, right) + 12
    title = sheet.pen(14, 38)
    title.text(40, "Return")
    title.text(330, "My profile")
    first = int(title.rows[0])
    assert int(pen.rows[1]) <= sheet.crop().top <= first
