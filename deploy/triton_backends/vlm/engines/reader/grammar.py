"""Grammars (llama.cpp's GBNF) that keep numbers honest while the model writes.

A number that is not on the page cannot be written at all: in the grammar of an answer a digit occurs only inside the
numbers, dates and ids that the sources have.  llama.cpp samples first and looks at the grammar only for the token it
drew, so this costs nothing until the model reaches for a number that is not there; then it must choose another.

The grammar is the first of two checks.  It cannot see that two allowed numbers side by side make a third; the
`ClaimCheck` in `check.py` reads what was really written before it is sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from engines.reader.claims import Grounds, month_name

_DIGITS = "0-9０-９٠-٩"
_JOINERS = ".,:/\\-*_"


def answer_grammar(grounds: Grounds) -> str:
    """Free text in which only the sources' numbers occur."""
    return "\n".join(["root ::= string-text", *text_rules(number_literals(grounds))]) + "\n"


def text_rules(literals: Sequence[str], forbidden: str = "") -> list[str]:
    """Rules for `string-text`: any text whose digits are those of the literals.

    `forbidden` are further characters that must not occur, as they stand in a GBNF character set.
    """
    plain = f"[^{_DIGITS}{forbidden}]"
    if not literals:
        return [f"string-text ::= {plain}*"]
    # After a number, a joiner must be followed by something that is no digit: "2025" "." "04" would be a new number.
    edge = f"[^{_DIGITS}{_JOINERS}{forbidden}]"
    return [
        "string-text ::= string-plain? (string-number string-after)* string-number?",
        f"string-plain ::= {plain}+",
        f"string-after ::= {edge} string-plain? | [{_JOINERS}]+ ({edge} string-plain?)?",
        f"string-number ::= {_alternatives(literals)}",
    ]


def number_literals(grounds: Grounds) -> list[str]:
    """Every way in which the sources' numbers may be written, longest first."""
    found: set[str] = set()
    for said in grounds.exact:
        found.update(_cased(said))
    for number in grounds.numbers:
        found.update(_amounts(number))
    for year, month, date in grounds.days:
        found.update(_dates(year, month, date))
    return sorted((f for f in found if f), key=lambda f: (-len(f), f))


def _cased(said: str) -> Iterable[str]:
    # Ids are kept in lower case for comparison; printed ones are nearly always upper case.
    return {said, said.upper()}


def _amounts(number: str) -> Iterable[str]:
    if not re.fullmatch(r"\d+(\.\d+)?", number):
        return {number}
    whole, _, rest = number.partition(".")
    plain = {number, f"{int(whole):,}" + (f".{rest}" if rest else "")}
    # 158.8 and 299 may be written as the prices that they are.
    padded = {f"{form}0" if rest else f"{form}.00" for form in plain if len(rest) < 2}
    return plain | padded


def _dates(year: int | None, month: int, date: int) -> Iterable[str]:
    name = month_name(month)
    days = {f"{month}月{date}日", f"{month}月{date}号"}
    days |= {f"{date} {name}", f"{name} {date}", f"{date} {name[:3]}", f"{name[:3]} {date}"}
    if year is None:
        return days
    full = {f"{year}年{d}" for d in days if "月" in d}
    full |= {f"{date} {name} {year}", f"{name} {date}, {year}", f"{name[:3]} {date}, {year}"}
    full |= {f"{date} {name[:3]} {year}"}
    return days | full


def _alternatives(literals: Iterable[str]) -> str:
    # JSON's escapes are GBNF's.
    return " | ".join(json.dumps(text, ensure_ascii=False) for text in literals)
