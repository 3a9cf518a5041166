"""The picture of a dashboard tells the truth: heights, gaps, colours, powers of ten. No browser is needed for that."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import pytest

from tools.dashboard_picture import page
from tools.observatory import Sample
from tools.panels import Panel, Series, load

BOARD = next(board for board in load() if board.uid == "kefu-oncall")
SPAN = (1000.0, 1060.0, 1.0)
Values = Sequence[tuple[float, float]]


def panel(title: str) -> Panel:
    return next(one for one in BOARD.panels if one.title == title)


def drawn(title: str, **courses: Values) -> str:
    series = [Series(name, Sample({}, values)) for name, values in courses.items()]
    text, _ = page(BOARD, [(panel(title), series)], SPAN)
    return text


def strokes(text: str) -> list[list[float]]:
    """The heights of every course in pixels from the top, one list a line without a gap."""
    paths = re.findall(r'<path d="M([^"]*)" fill="none"', text)
    return [[float(point.split()[1]) for point in path.split("L")] for path in paths]


def test_twice_the_value_is_twice_the_height() -> None:
    text = drawn("Failed questions by reason", A=[(1000, 0), (1001, 1), (1002, 2)])
    ((zero, one, two),) = strokes(text)
    assert zero - one == pytest.approx(one - two, abs=0.2)
    assert zero > one > two


def test_each_power_of_ten_is_as_high_as_the_next() -> None:
    text = drawn("Time to first token", p50=[(1000, 0.01), (1001, 0.1), (1002, 1.0)])
    ((low, middle, high),) = strokes(text)
    assert low - middle == pytest.approx(middle - high, abs=0.2)
    assert "10 ms" in text
    assert "1 s" in text


def test_what_was_not_measured_is_a_gap() -> None:
    """A line across an outage would say that all was well."""
    values = [(1000, 1), (1001, 1), (1002, math.nan), (1003, 1), (1004, 1), (1030, 1), (1031, 1)]
    assert [len(run) for run in strokes(drawn("Failed questions by reason", A=values))] == [2, 2, 2]


def test_stacked_courses_stand_on_each_other() -> None:
    text = drawn(
        "Questions by outcome", answered=[(1000, 3), (1001, 3)], failed=[(1000, 1), (1001, 1)]
    )
    upper, lower = sorted(run[0] for run in strokes(text))
    bottom = max(float(y) for y in re.findall(r'<path d="M[\d.]+ ([\d.]+)H', text))
    assert (bottom - upper) / (bottom - lower) == pytest.approx(4 / 3, rel=0.02)


@pytest.mark.parametrize(
    ("value", "color"), [(0.001, "#73BF69"), (0.02, "#FF9830"), (0.5, "#F2495C")]
)
def test_a_figure_has_the_colour_of_its_threshold(value: float, color: str) -> None:
    assert f'class=big style="color:{color}"' in drawn("Failed questions", A=[(1059, value)])


def test_down_is_red_and_up_is_green() -> None:
    text = drawn("What the gateways reach", triton=[(1000, 1), (1001, 0)])
    assert re.findall(r'height="[\d.]+" fill="(#\w+)"', text) == ["#73BF69", "#F2495C"]


def test_words_from_labels_are_no_markup_and_the_page_says_what_it_is() -> None:
    text = drawn("Failed questions by reason", **{"<script>": [(1000, 1), (1001, 1)]})
    assert "<script>" not in text
    assert "not by Grafana" in text


def test_nothing_measured_is_no_zero() -> None:
    assert "<div class=big>–</div>" in drawn("Failed questions")
