"""Numbers, dates and ids: finding them in a text, and telling whether the page says them too.

>>> grounds = Grounds(["Total due: £115.87", "Invoice date: 12 April 2025"])
>>> [(c.text, c.grounded) for c in grounds.claims("£115.87, dated 2025-04-12, order 77")]
[('115.87', True), ('2025-04-12', True), ('77', False)]

A claim is grounded when a source says the same: the same id to the letter, the same number (`299` for `299.00`,
`2000` for `2,000.00`), the same day (`4月20日` for `2025-04-20`), the same minute (`10:32` for `10:32:18`).  Parts of a
longer number are no claim of their own: `2025` is not grounded by `INV-2025-00417`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from engines.reader.text import normal

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec)[a-z]*\.?"

# Whole dates first, so that their parts are not taken for numbers; then ids, amounts, times.
_CLAIM = re.compile(
    rf"""
    (?P<cjk>(?:(?P<cy>\d{{4}})\s*年\s*)?(?P<cm>\d{{1,2}})\s*月\s*(?P<cd>\d{{1,2}})(?:\s*[日号])?)
  | (?P<iso>(?<![\w.])(?P<iy>\d{{4}})[-/.](?P<im>\d{{1,2}})[-/.](?P<id>\d{{1,2}})(?![\w]|[-/.]\w))
  | (?P<dm>(?<![\w.])(?P<dd>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<dmon>{_MONTH})(?![a-z])
        (?:,?\s+(?P<dy>\d{{4}})(?!\w))?)
  | (?P<md>(?<![\w])(?P<mmon>{_MONTH})\s+(?P<mday>\d{{1,2}})(?:st|nd|rd|th)?(?!\w|[.:]\d)
        (?:,?\s+(?P<my>\d{{4}})(?!\w))?)
  | (?P<expr>[a-z0-9_*\#]*\d[a-z0-9_*]*(?:[-./:,*_]+[a-z0-9*]+)*)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_CORE = re.compile(r"\d[\d*]*(?:[-./:,*]+[\d*]*\d[\d*]*)*")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_DECIMAL = re.compile(r"\d+\.\d+")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?")
# Digits with single blanks between, as ids and telephone numbers are printed.
_SPACED = re.compile(r"(?<![\d.,:/-])\d+(?: \d+)+(?![\d.,:/-])")
_NUMBER_WORDS = "零〇一二两三四五六七八九十百千万"
_UNIT = r"元|块|天|日|小时|个小时|分钟|秒|周|个月|月|年|岁|次|折|件|个工作日|%"
_SPELLED = re.compile(rf"(?<![{_NUMBER_WORDS}第])([{_NUMBER_WORDS}]+)(?={_UNIT})")

Day = tuple[int | None, int, int]


@dataclass(frozen=True, slots=True)
class Claim:
    """A number, date or id in a text: where it stands (characters), what it says, whether a source says it too."""

    start: int
    end: int
    text: str
    grounded: bool


class Grounds:
    """What the sources of an answer say in numbers."""

    def __init__(self, sources: Iterable[str]) -> None:
        self.exact: set[str] = set()
        self.numbers: set[str] = set()
        self.days: set[Day] = set()
        self._spelled: set[str] = set()
        for source in sources:
            self._learn(_same_length(source))

    def _learn(self, text: str) -> None:
        for match in _CLAIM.finditer(text):
            day = _day(match)
            if day is not None:
                self.days.add(day)
                if match["iso"]:
                    self.exact.add(match[0].lower())
                continue
            self.exact.add(match[0].lower())
            self.numbers.update(canonical(core) for core in _CORE.findall(match[0]))
            if _CLOCK.fullmatch(match[0]):
                self.numbers.add(match[0][:5])
        for spaced in _SPACED.findall(text):
            self.exact.add(spaced.replace(" ", ""))
            self.numbers.add(spaced.replace(" ", ""))
        self._spelled.update(_SPELLED.findall(text))

    def claims(self, text: str) -> Iterator[Claim]:
        """Every claim of the text, in order; positions are those of the text as given."""
        plain = _same_length(text)
        found = [(m.start(), m.end(), m[0], self._says(m)) for m in _CLAIM.finditer(plain)]
        found += [
            (m.start(1), m.end(1), m[1], self._says_spelled(m[1])) for m in _SPELLED.finditer(plain)
        ]
        for start, end, said, grounded in sorted(found):
            yield Claim(start, end, said, grounded)

    def _says(self, match: re.Match[str]) -> bool:
        day = _day(match)
        if day is not None:
            return self._says_day(day) or match[0].lower() in self.exact
        said = match[0].lower()
        if said in self.exact:
            return True
        core = _CORE.search(said)
        if core is None or said[: core.start()].strip("_#*"):
            # Letters before the digits make an id, and an id is right to the letter or not at all.
            return False
        return all(canonical(c) in self.numbers for c in _CORE.findall(said))

    def _says_day(self, day: Day) -> bool:
        year, month, date = day
        return any(
            (month, date) == (m, d) and (year is None or y is None or year == y)
            for y, m, d in self.days
        ) and (year is None or any(y == year for y, _, _ in self.days) or str(year) in self.numbers)

    def _says_spelled(self, word: str) -> bool:
        value = spelled_value(word)
        return word in self._spelled or value is None or str(value) in self.numbers


def canonical(number: str) -> str:
    """`2,000.00` and `2000` are one number; anything that is no plain amount stays as it is."""
    if _THOUSANDS.fullmatch(number):
        number = number.replace(",", "")
    if _DECIMAL.fullmatch(number):
        number = number.rstrip("0").rstrip(".")
    return number


def spelled_value(word: str) -> int | None:
    """三 → 3, 十二 → 12, 四十八 → 48, 一百 → 100; None for what is not a number."""
    digits = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
    units = {"十": 10, "百": 100, "千": 1000, "万": 10000}
    total, section, current = 0, 0, 0
    for char in word:
        if char in digits:
            current = digits[char]
        elif units[char] == 10000:
            total, section, current = (total + section + current) * 10000, 0, 0
        else:
            section, current = section + (current or 1) * units[char], 0
    value = total + section + current
    # 一件, 一次, 一下 are an article more often than a count.
    return value if value > 1 else None


def _day(match: re.Match[str]) -> Day | None:
    if match["cjk"]:
        return _valid(match["cy"], match["cm"], match["cd"])
    if match["iso"]:
        return _valid(match["iy"], match["im"], match["id"])
    if match["dm"]:
        return _valid(match["dy"], _month(match["dmon"]), match["dd"])
    if match["md"]:
        return _valid(match["my"], _month(match["mmon"]), match["mday"])
    return None


def _valid(year: str | None, month: str | int, date: str) -> Day | None:
    day = (int(year) if year else None, int(month), int(date))
    return day if 1 <= day[1] <= 12 and 1 <= day[2] <= 31 else None


def _month(name: str) -> int:
    return next(i for i, m in enumerate(_MONTHS, 1) if m.startswith(name.lower()[:3]))


def month_name(month: int) -> str:
    return _MONTHS[month - 1].capitalize()


def _same_length(text: str) -> str:
    """NFKC character by character where the length stays, so that positions stay true."""
    return "".join(n if len(n := normal(c)) == 1 else c for c in text)
