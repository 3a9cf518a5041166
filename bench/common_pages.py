"""Folders of pages with questions, and whether an answer says only what stands on its page.

    pages = Folder.read(Path("samples"))
    for asked in pages.questions: asked.pictures["clean"], asked.right("The total is £106.39.")

A folder has `questions.jsonl` (`page` or `picture`, `language`, `question`, `answer_regex`), pictures `<page>.png`, and
perhaps `<page>_half.jpg`, `<page>_photo.jpg` and `lines.json` (page: what is written on it).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

VARIANTS = {"clean": "", "half": "_half", "photo": "_photo"}
_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            ("jan", "january"),
            ("feb", "february"),
            ("mar", "march"),
            ("apr", "april"),
            ("may",),
            ("jun", "june"),
            ("jul", "july"),
            ("aug", "august"),
            ("sep", "sept", "september"),
            ("oct", "october"),
            ("nov", "november"),
            ("dec", "december"),
        ),
        1,
    )
    for name in names
}
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
# Year, month and day in the orders in which pages and answers write them.
_DATES = (
    re.compile(
        r"(?P<y>\d{4})\s*[-./年]\s*(?P<m>\d{1,2})\s*[-./月]\s*(?P<d>\d{1,2})(?!\d)\s*[日号]?"
    ),
    re.compile(r"(?<!\d)(?P<m>\d{1,2})\s*月\s*(?P<d>\d{1,2})\s*[日号]?"),
    re.compile(
        rf"(?<!\d)(?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? (?P<m>{_MONTH})\b\.?(?:,? (?P<y>\d{{4}}))?",
        re.I,
    ),
    re.compile(
        rf"\b(?P<m>{_MONTH})\.? (?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?!\d)(?:,? (?P<y>\d{{4}}))?", re.I
    ),
)
# Everything with a digit in it: amounts, ids, times, versions, telephone numbers.
_CLAIM = re.compile(r"[A-Za-z0-9*](?:[A-Za-z0-9*.,:/_-]*[A-Za-z0-9*])?")
# "48 小时" and "48小时" are the same.
_BESIDE_HAN = re.compile(r"(?<=[^\x00-\x7f])\s+|\s+(?=[^\x00-\x7f])")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_JOINERS = ".,:/-"

Day = tuple[int | None, int, int]


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: the page's name, its pictures by variant, and what a right answer matches."""

    page: str
    language: str
    words: str
    pattern: re.Pattern[str]
    pictures: Mapping[str, Path]

    def right(self, answer: str) -> bool:
        return self.pattern.search(answer) is not None


@dataclass(frozen=True, slots=True)
class Folder:
    """The questions in their order; `lines` is None where nobody wrote down what the pages say."""

    questions: Sequence[Asked]
    lines: Mapping[str, Sequence[str]] | None

    @classmethod
    def read(cls, path: Path) -> Folder:
        """Raises FileNotFoundError for a folder without questions, or a page without a picture."""
        entries = (path / "questions.jsonl").read_text(encoding="utf-8").splitlines()
        questions = [_question(path, json.loads(entry)) for entry in entries if entry.strip()]
        written = path / "lines.json"
        lines = json.loads(written.read_text(encoding="utf-8")) if written.exists() else None
        return cls(questions, lines)

    def ungrounded(self, asked: Asked, answer: str) -> list[str]:
        """Numbers, dates and ids that the answer states and neither the page nor the question has."""
        if self.lines is None:
            return []
        return ungrounded(answer, [*self.lines[asked.page], asked.words])


def _question(folder: Path, entry: Mapping[str, str]) -> Asked:
    page = entry.get("page") or Path(entry["picture"]).stem
    pictures = {}
    for variant, suffix in VARIANTS.items():
        found = [folder / f"{page}{suffix}{ending}" for ending in _ENDINGS]
        existing = [path for path in found if path.exists()]
        if existing:
            pictures[variant] = existing[0]
    if "clean" not in pictures:
        raise FileNotFoundError(f"{folder} has no picture of the page {page!r}")
    return Asked(
        page, entry["language"], entry["question"], re.compile(entry["answer_regex"]), pictures
    )


def ungrounded(answer: str, lines: Iterable[str]) -> list[str]:
    """What the answer states with digits in it and the lines do not have.

    The same thing may be written otherwise: full-width digits, blanks, thousands separators, "299" for "299.00", a date
    in another order or without its year, a time without its seconds. A piece of a longer number or id does not count.
    Numbers in words (四十八, two) are not looked at.
    """
    page = [_plain(line) for line in lines]
    days = {day for line in page for day in _days(line)}
    numbers = {_value(found) for line in page for found in _NUMBER.findall(line)}
    flat = "\n".join(_BESIDE_HAN.sub("", line) for line in page).lower()
    missing = []
    rest = _plain(answer)
    for pattern in _DATES:
        missing += [
            found[0].strip()
            for found in pattern.finditer(rest)
            if not any(_same_day(_day(found), day) for day in days)
        ]
        rest = pattern.sub(" ", rest)
    for claim in _CLAIM.findall(rest):
        if not any(letter.isdigit() for letter in claim):
            continue
        is_number = _NUMBER.fullmatch(claim) is not None
        if not (_stands(claim.lower(), flat) or (is_number and _value(claim) in numbers)):
            missing.append(claim)
    return missing


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _value(number: str) -> Decimal:
    """The number without thousands separators; of "1.4.27", which is none, only the digits."""
    plain = re.sub(r",(?=\d{3}(\D|$))", "", number).replace(",", ".")
    return Decimal(plain) if plain.count(".") <= 1 else Decimal(plain.replace(".", "") + "E9999")


def _days(line: str) -> Iterable[Day]:
    for pattern in _DATES:
        yield from map(_day, pattern.finditer(line))


def _day(found: re.Match[str]) -> Day:
    parts = found.groupdict()
    month = parts["m"].lower()
    return (
        int(parts["y"]) if parts.get("y") else None,
        _MONTHS[month] if month in _MONTHS else int(month),
        int(parts["d"]),
    )


def _same_day(one: Day, other: Day) -> bool:
    years = {one[0], other[0]} - {None}
    return one[1:] == other[1:] and len(years) <= 1


def _stands(claim: str, flat: str) -> bool:
    """Whether the claim stands in the text as a whole, and not as a piece of a longer number or id."""
    start = flat.find(claim)
    while start >= 0:
        end = start + len(claim)
        before, after = flat[:start][-2:], flat[end : end + 2]
        if not _goes_on(claim[0], before[::-1], claim) and not _goes_on(claim[-1], after, claim):
            return True
        start = flat.find(claim, start + 1)
    return False


def _goes_on(edge: str, beyond: str, claim: str) -> bool:
    """`beyond`: up to two letters next to the claim's edge, the nearest first."""
    if not beyond:
        return False
    near = beyond[0]
    if near.isascii() and near.isalnum():
        return near.isdigit() == edge.isdigit()
    # "8.5" has no 5 in it; but "10:32" is "10:32:18" without its seconds.
    joined = near in _JOINERS and len(beyond) > 1 and beyond[1].isdigit() and edge.isdigit()
    return joined and not (near == ":" and ":" in claim)
