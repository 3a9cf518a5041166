"""A yes or a no comes from the rows or not at all."""

from __future__ import annotations

import pytest
from engines.reader.sight import needs_eyes
from engines.reader.states import is_yes_no, judge, polarity

CARDS = ["¥50: 全场通用券, 满300元可用, 已过期", "¥20: 数码品类券, 满199元可用, 去使用"]


@pytest.mark.parametrize(
    ("question", "rows", "yes"),
    [
        ("Is this invoice paid?", ["INVOICE", "Payment status: Unpaid"], False),
        ("Has it been paid?", ["Status: Paid"], True),
        ("付款了吗？", ["订单状态: 待付款"], False),
        ("包裹送到了吗？", ["当前状态: 派送失败"], False),
        ("转账成功了吗？", ["转账失败", "金额: ¥2,000.00"], False),
        ("Is autopay on?", ["AutoPay: Off"], False),
        ("退款通过了吗", ["审核结果拒绝"], False),
        ("Has my refund been approved?", ["Refund status: Approved"], True),
        ("优惠券过期了吗？", ["全场通用券, 已过期"], True),
        ("Is it expired?", ["Valid"], False),
        ("Is the internet connected?", ["No internet connection"], False),
        ("钱到账了没有？", ["状态: 已到账"], True),
        ("Is it delivered yet?", ["Status: Out for delivery"], False),
    ],
)
def test_the_state_of_the_page(question: str, rows: list[str], yes: bool) -> None:
    assert is_yes_no(question)
    verdict = judge(question, rows)
    assert verdict is not None
    assert verdict.yes is yes


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("Is breakfast included?", ["Room: Double", "Total: €246.40"]),
        ("Is it paid?", ["Paid", "Unpaid"]),
        ("Isn't it paid?", ["Unpaid"]),
        ("Can I return it?", ["Returns within 30 days"]),
    ],
)
def test_no_verdict_where_the_rows_are_silent_or_disagree(question: str, rows: list[str]) -> None:
    assert judge(question, rows) is None


def test_of_two_vouchers_the_one_that_was_asked_for() -> None:
    """The usable one must not answer for the expired one."""
    verdict = judge("50元的券还能用吗？", CARDS)
    assert verdict is None or (verdict.row, verdict.yes) == (0, False)


@pytest.mark.parametrize("question", ["What is the total?", "退款金额是多少？", "How do I pay?"])
def test_other_questions_are_not_yes_or_no(question: str) -> None:
    assert not is_yes_no(question)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("Yes, it is.", True),
        ("No.", False),
        ("没有，状态是未完成", False),
        ("是的", True),
        ("Total: 3", None),
    ],
)
def test_polarity(answer: str, said: bool | None) -> None:
    assert polarity(answer) is said


@pytest.mark.parametrize(
    ("question", "rows", "eyes"),
    [
        ("耳机是什么颜色？", ["无线蓝牙耳机 白色"], False),
        ("耳机是什么颜色？", ["订单编号: 1"], True),
        ("申请退款的原因是什么？", ["申请原因: 商品破损"], False),
        ("Is the screen cracked?", ["Total: 3"], True),
        ("What is in the picture?", ["Total: 3"], True),
        ("图片里的订单号是什么？", ["订单编号: 1"], False),
        ("破损的地方在哪里？", ["订单编号: 1"], True),
    ],
)
def test_questions_for_eyes(question: str, rows: list[str], eyes: bool) -> None:
    assert needs_eyes(question, rows) is eyes
