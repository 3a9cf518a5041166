"""Yes or no: what the page says about a state that the customer asks for.

>>> judge("Is this invoice paid?", ["Payment status: Unpaid"])
Verdict(yes=False, row=0)

A small model answers "Is it paid?" with "Yes" when the page says "Unpaid": the words are alike.  So a yes or a no is
never left to it: the state is looked up in the rows, and where the rows do not have it, the answer says neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engines.reader.text import is_chinese, normal, overlap, terms, weights
from engines.reader.words import any_of, read_words

_ASKS_EN = re.compile(
    r"^(?:(?:hi|hello|hey|please|so|and|but|ok|okay|then|now|well)[,!. ]+)*"
    r"(?:is|are|was|were|am|has|have|had|does|do|did|can|could|will|would|should|may)(?:n't)?\b",
    re.IGNORECASE,
)
_ASKS_ZH = re.compile(
    r"(吗|么|没有|了没|没|不)\s*[？?。.!！]*\s*$|是否|是不是|有没有|能不能|可不可以|会不会|对不对|要不要"
    r"|[成付到退完通发]\w{0,2}没[成付到退完通发]"
)
_EXISTS = re.compile(r"^(?:is|are) there\b|有没有|有.{0,12}吗", re.IGNORECASE)
_NEGATED_EN = re.compile(r"\b(?:isn't|aren't|not|hasn't|haven't|never|n't)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _State:
    asks: re.Pattern[str]
    good: re.Pattern[str]
    bad: re.Pattern[str]
    named: re.Pattern[str]


_WORDS = read_words("states.toml")
_STATES = tuple(
    _State(
        asks=any_of(s["asks"]),
        good=any_of(s["good"]),
        bad=any_of(s["bad"]),
        named=any_of([*s["bad"], *s["good"], *s["asks"]]),
    )
    for s in _WORDS["state"]
)
_ASKS_BAD = any_of(_WORDS["asks_bad"]["words"])
_YES = re.compile(
    r"^\W*(?:yes|yeah|yep|correct|sure|是的?|有的?|对|可以|能|会|已经|已|成功)(?:\b|[，,。.！!：: ]|$|了)",
    re.IGNORECASE,
)
_NO = re.compile(
    r"^\W*(?:no\b|nope|not\b|否|不是?|没有?|未|尚未|还没|不能|不可以|不会)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """yes: the answer to the question as it was asked; row: index of the row that says so."""

    yes: bool
    row: int


def is_yes_no(question: str) -> bool:
    text = normal(question).strip()
    if is_chinese(text):
        return _ASKS_ZH.search(text) is not None
    return _ASKS_EN.search(text.splitlines()[-1].strip()) is not None if text else False


def asks_existence(question: str) -> bool:
    """`Is there a phone number?`: answered by naming the thing, not by a state."""
    return _EXISTS.search(normal(question).strip()) is not None


def judge(question: str, rows: Sequence[str]) -> Verdict | None:
    """The state that the rows give, if they give exactly one; None where the rows are silent or disagree."""
    asked = normal(question)
    wants_bad = _ASKS_BAD.search(asked) is not None
    if _NEGATED_EN.search(asked) or re.search(
        r"没(?!有?\s*[？?。]?\s*$)|未|不(?!是)", asked.rstrip("？?吗么 ")
    ):
        # "Isn't it paid?" and 还没发货吗 say yes or no to either side in different languages: not for a table.
        return None
    for state in _STATES:
        if state.asks.search(asked):
            verdict = _look_up(asked, rows, state)
            if verdict is not None:
                return Verdict(verdict.yes != wants_bad, verdict.row)
    return None


def _look_up(asked: str, rows: Sequence[str], state: _State) -> Verdict | None:
    """The side that the rows nearest to the question are on; None where there are none, or they disagree."""
    found: list[tuple[float, bool | None, int]] = []
    weight = weights(rows)
    # How the state itself is named says nothing about which row is meant: "Paid" is no nearer than "Unpaid".
    about = terms(state.named.sub(" ", asked))
    for index, row in enumerate(rows):
        text = normal(row)
        is_bad = state.bad.search(text) is not None
        is_good = state.good.search(state.bad.sub(" ", text)) is not None
        if is_bad or is_good:
            # A row with both sides decides nothing, but it may be the very row that was asked for.
            side = None if is_bad and is_good else is_good
            score = overlap(about, terms(state.named.sub(" ", text)), weight)
            found.append((score, side, index))
    if not found:
        return None
    best = max(score for score, _, _ in found)
    near = [(side, index) for score, side, index in found if score >= best - 1e-9]
    sides = {side for side, _ in near}
    side = near[0][0]
    return None if len(sides) > 1 or side is None else Verdict(side, near[0][1])


def polarity(answer: str) -> bool | None:
    """True for an answer that begins with a yes, False for a no, None for neither."""
    text = normal(answer)
    if _NO.search(text):
        return False
    return True if _YES.search(text) else None
