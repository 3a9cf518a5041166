"""Numbers, dates and ids of an answer against the page."""

from __future__ import annotations

import pytest
from engines.reader.claims import Grounds, spelled_value
from engines.reader.grammar import number_literals
from hypothesis import given
from hypothesis import strategies as st

PAGE = [
    "订单编号: 2504208837261950",
    "下单时间: 2025-04-20 10:32:18",
    "实付款: ¥2,299.00",
    "Invoice date: 12 April 2025",
    "Firmware: 1.4.27",
    "Tracking: SF1390284756123",
    "Confirmation: 88 102 447",
    "请在48小时内重新上传",
    "MAC: A4:2B:B0:9C:11:7E",
]


@pytest.fixture(scope="module")
def grounds() -> Grounds:
    return Grounds(PAGE)


@pytest.mark.parametrize(
    "answer",
    [
        "2504208837261950",
        "¥2299",
        "2,299.00元",
        "2299.0",
        "2025年4月20日",
        "4月20日",
        "April 20, 2025",
        "20 April",
        "2025-04-12",
        "10:32",
        "1.4.27",
        "SF1390284756123",
        "sf1390284756123",
        "88102447",
        "88 102 447",
        "四十八小时",
        "48h",
        "A4:2B:B0:9C:11:7E",
        "no numbers at all",
    ],
)
def test_what_the_page_says_is_grounded(grounds: Grounds, answer: str) -> None:
    assert [c.text for c in grounds.claims(answer) if not c.grounded] == []


@pytest.mark.parametrize(
    "answer",
    [
        "2504208837261951",
        "250420883726195",
        "¥229",
        "¥299.00",
        "22,990",
        "2025年4月21日",
        "2024-04-20",
        "April 12, 2024",
        "May 20",
        "10:33",
        "1.4.28",
        "1.4",
        "SF139028475612",
        "TK1390284756123",
        "102",
        "A4:2B:B0:9C:11:7F",
        "三小时",
        "５０",
    ],
)
def test_what_it_does_not_say_is_not(grounds: Grounds, answer: str) -> None:
    if answer == "102":
        # Printed apart, each group stands on the page.
        assert all(c.grounded for c in grounds.claims(answer))
        return
    assert any(not c.grounded for c in grounds.claims(answer))


def test_every_way_of_writing_that_the_grammar_allows_is_grounded(grounds: Grounds) -> None:
    """The grammar and the check must not disagree: what may be written must pass."""
    for literal in number_literals(grounds):
        bad = [c.text for c in grounds.claims(f"x {literal} y") if not c.grounded]
        assert bad == [], literal


@pytest.mark.parametrize(
    ("word", "value"), [("三", 3), ("十二", 12), ("四十八", 48), ("一百二十", 120), ("一", None)]
)
def test_spelled_numbers(word: str, value: int | None) -> None:
    assert spelled_value(word) == value


@given(st.text(max_size=80))
def test_a_text_grounds_itself(text: str) -> None:
    assert [c.text for c in Grounds([text]).claims(text) if not c.grounded] == []


@given(st.text(max_size=60))
def test_claims_lie_in_the_text_in_order(text: str) -> None:
    claims = list(Grounds([]).claims(text))
    assert all(0 <= c.start < c.end <= len(text) for c in claims)
    assert [c.start for c in claims] == sorted(c.start for c in claims)
