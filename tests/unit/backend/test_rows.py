"""Lines as a person would read them, from the boxes of an OCR."""

from __future__ import annotations

import math

import pytest
from engines.reader.rows import Segment, build_rows, tidy


def box(
    text: str, x: float, y: float, w: float, h: float = 30, score: float = 0.99, tilt: float = 0
) -> Segment:
    corners = [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]
    cos, sin = math.cos(tilt), math.sin(tilt)
    turned = tuple((a * cos - b * sin, a * sin + b * cos) for a, b in corners)
    return Segment(text, score, turned)  # type: ignore[arg-type]


def texts(*segments: Segment) -> list[str]:
    return [row.text for row in build_rows(segments)]


KEYS = [("Order", "A-17"), ("Total", "£9.50"), ("Due date", "4 May 2025"), ("Status", "Unpaid")]


@pytest.mark.parametrize("degrees", [0, 2.5, -3, 5])
def test_keys_meet_their_values_on_a_tilted_page(degrees: float) -> None:
    segments = []
    for n, (key, value) in enumerate(KEYS):
        segments.append(box(key, 20, 50 * n, 150, tilt=math.radians(degrees)))
        segments.append(box(value, 700, 50 * n + 4, 160, tilt=math.radians(degrees)))
    assert texts(*reversed(segments)) == [f"{k}: {v}" for k, v in KEYS]


def test_three_pieces_are_a_table_row() -> None:
    row = [box("Kettle", 20, 0, 200), box("2", 400, 0, 20), box("£39.90", 600, 0, 90)]
    assert texts(*row) == ["Kettle | 2 | £39.90"]


def test_a_tall_piece_heads_the_lines_beside_it() -> None:
    card = [
        box("¥50", 20, 40, 110, 60),
        box("全场通用券", 230, 10, 160, 36),
        box("满300元可用", 230, 55, 150, 32),
        box("有效期至2025.04.20", 230, 100, 230, 30),
    ]
    assert texts(*card) == ["¥50: 全场通用券, 满300元可用, 有效期至2025.04.20"]


def test_columns_of_running_text_are_read_one_after_the_other() -> None:
    left = [box(f"left {n} " + "x" * 20, 0, 40 * n, 300) for n in range(5)]
    right = [box(f"right {n} " + "x" * 20, 360, 40 * n, 300) for n in range(5)]
    found = texts(*left, *right)
    assert [t[:4] for t in found] == ["left"] * 5 + ["righ"] * 5


def test_the_status_bar_is_left_out() -> None:
    bar = [box("9:41", 20, 0, 60), box("5G 87%", 500, 0, 90)]
    assert texts(*bar, box("Total due", 20, 80, 200), box("£9", 600, 80, 60)) == ["Total due: £9"]
    # A time further down is content, and so is one that stands alone with words.
    assert texts(box("Open until", 20, 0, 150), box("9:41", 500, 0, 60)) == ["Open until: 9:41"]


def test_a_row_knows_where_it_is_and_how_sure() -> None:
    (row,) = build_rows([box("Total", 20, 10, 100), box("£9", 400, 12, 60, score=0.6)])
    assert row.box == (20, 10, 460, 42)
    assert row.score == 0.6


def test_a_lost_blank_is_put_back() -> None:
    assert tidy("2025-04-2010:33:02") == "2025-04-20 10:33:02"
    assert build_rows([]) == []
