"""Nothing that a form gives away survives masking, however it is written; and honest texts stay readable."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from kefu_common.masking import is_bank_card, is_identity_card, mask

few = settings(max_examples=50, deadline=None)

EXAMPLES = {
    "我的电话13812345678，打不通": "我的电话[phone],打不通",
    "+86 138-1234-5678": "[phone]",
    "8613812345678": "[phone]",
    "0086 138 1234 5678": "[phone]",
    "联系 １３８ １２３４ ５６７８": "联系 [phone]",
    "138\u200b1234\u200b5678": "[phone]",
    "座机 0571-88157777": "座机 [phone]",
    "call +44 (0)20 7946 0958 or +1 (555) 010-9999": "call [phone] or [phone]",
    "一三八幺二三四五六七八": "[number]",
    "身份证 11010519491231002X": "身份证 [id]",
    "身份证号:110105 19491231 002x。": "身份证号:[id]。",
    "卡号 6222 0212 3456 7890 127": "卡号 [number]",
    "卡号 5105 1051 0510 5100": "卡号 [card]",
    "card 4111-1111-1111-1111": "card [card]",
    "邮箱 zhang.san+shop@mail.example.com.cn 谢谢": "邮箱 [email] 谢谢",
    "看 https://x.cn/o?token=abc 这里": "看 [url] 这里",
    "订单 RF202603180457 退款": "订单 RF[number] 退款",
    "快递 SF1A2B3C4D5E": "快递 [number]",
    "验证码 048213": "验证码 [number]",
    "地址:浙江省杭州市西湖区文三路123号4幢502室，下午送": "地址:[address],下午送",
    "送到文三路 123 号 4 幢 502 室": "[address]",
    "在3栋2单元1101": "在[address]",
    "收件人：张三丰 ": "收件人:[name] ",
    "my name is Jane Doe, 12 Baker Street, Flat 3": "my name is [name], [address]",
    # What must stay readable.
    "为什么退款 35.50 元被拒？": "为什么退款 35.50 元被拒?",
    "第 3 张图，2 件商品，共 1,299 元": "第 3 张图,2 件商品,共 1,299 元",
    "Error 0x1F on page 42": "Error 0x1F on page 42",
    "这条路走不通，市区也没有货": "这条路走不通,市区也没有货",
    "一共三件，第二件坏了": "一共三件,第二件坏了",
}


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples(text: str) -> None:
    assert mask(text) == EXAMPLES[text]


_digit = st.sampled_from("0123456789０１２３４５６７８９٠١٢٣٤٥٦٧٨٩")
_split = st.sampled_from(["", "", "", " ", "-", " - ", ".", "\u200b", ") ", "/", "_"])
_around = st.text(st.characters(exclude_categories=("Nd", "Nl", "No", "Cs")), max_size=8)


@few
@given(_around, st.lists(st.tuples(_digit, _split), min_size=6, max_size=24), _around)
def test_no_six_digits_in_a_row_survive_however_they_are_split(
    before: str, number: list[tuple[str, str]], after: str
) -> None:
    text = before + "".join(digit + split for digit, split in number) + after
    assert not re.search(r"\d(?:[ \t\-.()/_]{0,3}\d){5}", mask(text))


@few
@given(st.text(max_size=80))
@example("[address]")
@example("1234567@x.cn")
def test_masking_what_is_masked_changes_nothing(text: str) -> None:
    once = mask(text)
    assert mask(once) == once


@few
@given(
    st.from_regex(r"[A-Za-z0-9]{1,12}(?:[._+-][A-Za-z0-9]{1,8}){0,2}", fullmatch=True),
    st.from_regex(r"[a-z0-9]{1,10}(?:\.[a-z]{2,6}){1,2}", fullmatch=True),
    _around,
)
def test_no_address_of_mail_survives(name: str, host: str, after: str) -> None:
    masked = mask(f"写信到{name}@{host} {after}")
    assert f"{name}@{host}" not in masked


@few
@given(st.integers(10**16, 10**17 - 1))
def test_identity_cards_by_their_check_character(seventeen: int) -> None:
    whole = next(c for c in "0123456789X" if is_identity_card(f"{seventeen}{c}"))
    assert mask(f"证件{seventeen}{whole}号") == "证件[id]号"
    wrong = [c for c in "0123456789X" if c != whole]
    assert not any(is_identity_card(f"{seventeen}{c}") for c in wrong)


@few
@given(st.integers(10**11, 10**18 - 1))
def test_bank_cards_by_their_check_digit(number: int) -> None:
    valid = [f"{number}{digit}" for digit in range(10) if is_bank_card(f"{number}{digit}")]
    assert len(valid) == 1
    assume(not valid[0].startswith(("0", "86", "1")))
    assert mask(valid[0]) in ("[card]", "[id]")


@pytest.mark.parametrize("unit", ["1-", "路", "省市", "1号", "a@", "零 ", "A1", "1 Aa ", "("])
def test_a_text_made_to_be_slow_is_not(unit: str) -> None:
    start = time.perf_counter()
    mask(unit * 20_000)
    # Milliseconds; with a pattern that tries every split it would be hours.
    assert time.perf_counter() - start < 10


def test_a_long_text_is_cut() -> None:
    assert mask("好" * 5000) == "好" * 2000 + "…"
    assert mask("好" * 2000) == "好" * 2000
