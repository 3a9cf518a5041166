"""Reading the clock of a status bar: in which shapes a time is read, and what is none."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from bench.pictures.signs import font_of
from kefu_preprocess.domain.bars.clock import LEAST_LIKENESS, Clock, find_clocks
from kefu_preprocess.domain.bars.glyphs import layers


def clocks(words: str, *, bold: float = 0.0, size: float = 36.0) -> list[Clock]:
    """What is read from black words, 60 rows below the top of a white strip; `bold` widens every stroke."""
    picture = Image.new("RGB", (800, 150), "white")
    draw = ImageDraw.Draw(picture)
    draw.text(
        (60, 60), words, (20, 20, 20), font=font_of(size), anchor="lm", stroke_width=bold * size
    )
    grey = np.array(picture.convert("L"))
    found = [
        clock
        for layer in layers(grey, 51)
        if not layer.bright
        for clock in find_clocks(layer, 0.4 * size, 1.1 * size)
        if clock.likeness >= LEAST_LIKENESS
    ]
    return sorted(found, key=lambda clock: -clock.likeness)


@pytest.mark.parametrize("time", ["9:41", "11:25", "03:35", "10:04", "20:26", "16:23", "4:54"])
@pytest.mark.parametrize("bold", [0.0, 0.02])
def test_a_time_is_read_where_it_stands(time: str, bold: float) -> None:
    best = clocks(time, bold=bold)[0]
    assert best.likeness >= 0.9
    assert 55 <= best.left <= 66
    assert 1.4 <= (best.right - best.left) / best.height <= 3.6


@pytest.mark.parametrize("time", ["16:23", "9:50", "20:26", "4:54"])
def test_bold_digits_that_touch_one_another_and_the_colon_are_parted(time: str) -> None:
    """Nine of ten drawn bars that were missed had them; at this weight neither dot stands alone."""
    assert clocks(time, bold=0.04)[0].likeness >= 0.8


@pytest.mark.parametrize("words", ["9:41 PM", "PM9:41", "12:34:56", "9:41 Mon, Jun 3"])
def test_a_time_with_its_half_of_the_day_seconds_or_a_date_is_a_time(words: str) -> None:
    assert clocks(words)[0].likeness >= 0.85


@pytest.mark.parametrize(
    "words",
    ["Applications", "Illinois billing", "illi:on", "Title: fill:in", "16:9", "33:10", "12:75", "0.5KB/s", "Orders"],
)  # fmt: skip
def test_words_and_numbers_are_no_time(words: str) -> None:
    """A desktop's "Applications" was read: a stroke and a dot for a colon, letters that touch for digits."""
    for bold in (0.0, 0.02):
        assert all(clock.likeness < 0.8 for clock in clocks(words, bold=bold)), words
