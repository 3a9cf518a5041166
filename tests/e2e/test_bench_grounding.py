"""The judge of `./dev bench answers`: it must find what is not on the page, and nothing else."""

from __future__ import annotations

import pytest

from bench.common_pages import ungrounded

PAGE = [
    "实付款 ¥299.00",
    "订单编号 2504208837261950",
    "下单时间 2025-04-20 10:32:18",
    "有效期至2025.06.30",
    "请在 48 小时内重新上传",
    "8.5折 满1,300元可用",
    "Firmware 1.4.27",
    "Due date 26 April 2025",
    "call 1-800-555-0142",
    "A4:2B:B0:9C:11:7E",
    "预计 4月22日 送达",
]


@pytest.mark.parametrize(
    "answer",
    [
        "您实付299元。",
        "299.00",
        "￥２９９．００",
        "2504208837261950",
        "订单于2025年4月20日10:32下单",
        "It was placed on April 20, 2025.",
        "It is due on the 26th of April.",
        "6月30日过期",
        "48小时",
        "满1300元可用，8.5折",
        "Version 1.4.27.",
        "Call 1-800-555-0142",
        "a4:2b:b0:9c:11:7e",
        "预计2025年4月22日送达",
        "没有数字",
    ],
)
def test_what_is_on_the_page_is_let_pass(answer: str) -> None:
    assert ungrounded(answer, PAGE) == []


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("您实付298元。", ["298"]),
        ("29.9", ["29.9"]),
        ("5折", ["5"]),
        ("订单号250420883726195", ["250420883726195"]),
        ("订单号25042088372619500", ["25042088372619500"]),
        ("2025年4月21日", ["2025年4月21日"]),
        ("due on 26 April 2024", ["26 April 2024"]),
        ("May 26, 2025", ["May 26, 2025"]),
        ("Version 1.4", ["1.4"]),
        ("Version 1.4.28", ["1.4.28"]),
        ("at 10:33", ["10:33"]),
        ("Call 555-0142", ["555-0142"]),
        ("TK20250418004512", ["TK20250418004512"]),
    ],
)
def test_what_is_not_on_the_page_is_found(answer: str, found: list[str]) -> None:
    assert ungrounded(answer, PAGE) == found
