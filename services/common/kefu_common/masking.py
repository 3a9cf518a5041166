"""Takes out of a text what tells who somebody is, before it is logged: for operators who switched text logging on.

    mask("我的电话13812345678，邮箱 a@b.cn")  ==  "我的电话[phone],邮箱 [email]"

What is caught, by form: e-mail addresses; URLs; every run of six or more digits, however it is split by blanks, dashes,
dots or brackets, in any script's digits or in Chinese numerals (telephone numbers of any country, identity cards, bank
cards, orders, parcels, codes; the label says which where a check sum does); words of ten or more letters and digits
with four digits among them; Chinese addresses from the district or the road to the door, and English ones that begin
with a house number; a name behind a word like 收件人 or 我叫.

What is not caught, because its form does not tell: names elsewhere, names of places without a number, short numbers (a
room, a pickup code of five digits), what only the context makes personal. Masked text is still a customer's text: keep
such logs as short as the pictures.

There is no library for it: those that are kept up mask American and European forms, and know no Chinese card, numeral
or address.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

MOST_CHARACTERS = 2000

# What splits a number for the eye alone.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]")
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
_URL = re.compile(r"(?:https?|ftp)://[^\s\u4e00-\u9fff]{1,2000}", re.IGNORECASE)
_DIGITS = re.compile(r"[+(]{0,2}\d(?:[ \t\-.()/_·–—]{0,3}\d){5,}(?:[ -]?[Xx](?![A-Za-z]))?")
_NUMERALS = re.compile(r"[零〇一二三四五六七八九幺两](?:[ \t-]?[零〇一二三四五六七八九幺两]){5,}")
_CODE = re.compile(r"(?<![A-Za-z0-9-])(?=(?:[A-Za-z-]{0,40}\d){4})[A-Za-z0-9-]{10,}")
_NAME = re.compile(
    r"((?:收件人|收货人|联系人|寄件人|持卡人|姓名|户名|我叫|我是叫)[是为:： \t]{0,3})[\u4e00-\u9fff·]{2,4}"
    r"|((?:[Mm]y name is|[Rr]ecipient:?)\s{1,3})[A-Z][\w'-]{1,20}(?: [A-Z][\w'-]{1,20}){0,2}"
)
_HAN = r"[\u4e00-\u9fff]"
_DOOR = r"(?:号楼?|弄|栋|幢|座|单元|室|楼|层|户)"
_ADDRESSES = (
    # 浙江省杭州市西湖区…, 上海市浦东新区…: two districts, and all that hangs on them.
    re.compile(
        rf"{_HAN}{{2,8}}?(?:省|自治区|市|州){_HAN}{{1,8}}?(?:市|区|县|旗|镇)"
        rf"(?:{_HAN}|[A-Za-z0-9#-]|\[number\]){{0,40}}"
    ),
    # 文三路 123 号 4 幢 502 室
    re.compile(
        rf"{_HAN}{{1,10}}?(?:路|街|道|巷|弄|胡同|村|小区|花园|公寓|大厦|广场|里|苑)"
        rf"[ \t]?(?:[\dA-Za-z-]{{1,6}}[ \t]?{_DOOR}[ \t]?){{1,5}}[\dA-Za-z-]{{0,6}}"
    ),
    # 4 幢 2 单元 502
    re.compile(rf"(?:[\dA-Za-z]{{1,4}}[ \t]?{_DOOR}[ \t]?){{2,5}}[\dA-Za-z-]{{0,6}}"),
    re.compile(
        r"\b\d{1,5}[A-Za-z]? (?:[A-Z][\w.'-]{1,20} ){1,4}(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Boulevard"
        r"|Blvd|Court|Ct|Place|Pl|Way|Square|Sq|Terrace|Close)\b\.?(?:,? (?:Apt|Suite|Unit|Flat|#)\.? ?\w{1,6})?"
    ),
)


def mask(text: str) -> str:
    """At most the first 2,000 characters, in Unicode's compatible form (full-width digits become plain ones)."""
    cut = text[:MOST_CHARACTERS]
    plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", cut))
    plain = _URL.sub("[url]", plain)
    plain = _EMAIL.sub("[email]", plain)
    plain = _NAME.sub(lambda found: f"{found[1] or found[2]}[name]", plain)
    for pattern in (_DIGITS, _NUMERALS):
        plain = pattern.sub(_kind_of, plain)
    plain = _CODE.sub("[number]", plain)
    for address in _ADDRESSES:
        plain = address.sub("[address]", plain)
    return plain if len(text) <= MOST_CHARACTERS else plain + "…"


def _kind_of(found: re.Match[str]) -> str:
    digits = "".join(
        str(unicodedata.digit(each)) if each.isdigit() else each.upper()
        for each in found[0]
        if each.isdigit() or each in "Xx"
    )
    for name, fits in _KINDS:
        if fits(found[0], digits):
            return f"[{name}]"
    return "[number]"


def is_identity_card(number: str) -> bool:
    """18 characters with the check character of GB 11643 (ISO 7064, MOD 11-2)."""
    if len(number) != 18 or not number[:17].isdigit():
        return False
    total = sum(int(digit) * (2 ** (17 - place) % 11) for place, digit in enumerate(number[:17]))
    return "10X98765432"[total % 11] == number[17]


def is_bank_card(number: str) -> bool:
    """13 to 19 digits with Luhn's check digit (ISO/IEC 7812-1)."""
    if not (13 <= len(number) <= 19 and number.isdigit()):
        return False
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(number))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _is_phone(written: str, digits: str) -> bool:
    local = digits.removeprefix("0086") if digits.startswith("00") else digits.removeprefix("86")
    mobile = len(local) == 11 and local[0] == "1" and local[1] in "3456789"
    abroad = written.lstrip("(").startswith("+") and 7 <= len(digits) <= 15
    fixed = digits.startswith("0") and 10 <= len(digits) <= 12 and digits.isdigit()
    return mobile or abroad or fixed


_KINDS: tuple[tuple[str, Callable[[str, str], bool]], ...] = (
    ("id", lambda written, digits: is_identity_card(digits)),
    ("phone", _is_phone),
    ("card", lambda written, digits: is_bank_card(digits)),
)
