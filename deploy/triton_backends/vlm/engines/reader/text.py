"""Comparing short texts of two languages without a dictionary.

>>> overlap(terms("退款金额是多少？"), terms("退款金额: ¥158.80")) > 0
True

Chinese is cut into pairs of characters, other writing into lower-case words with their endings taken off; words that
every question has (是, 多少, the, what) carry nothing and are left out.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping

_HAN = re.compile(r"[\u3400-\u9fff]+")
_WORD = re.compile(r"[a-z0-9]+(?:[.\-:/][a-z0-9]+)*")
_ENDINGS = ("ments", "ment", "ings", "ing", "ies", "ied", "ed", "es", "s")

_EMPTY_WORDS = frozenset(
    """a an the is are was were be been am do does did has have had can could will would should may might of in on at to
    for from by with and or not no it its this that these those i my me you your we our they them their he she what
    which who whom when where why how much many long there here please tell show shown picture image photo screen page
    yes so if any some""".split()  # noqa: SIM905 (read as a sentence)
)
# Pairs in which no side is a content word of its own.
_EMPTY_HAN = re.compile(
    r"请问|告诉我?|一下|图片|图里|图中|照片|截图|上面|里面|多少|什么|怎么|为何|为什么|哪个|哪些|哪里|哪家|多久|多长|几时|时候"
    r"|这个|那个|这张|这是|那是|是不是|有没有|能不能|可不可以|是否|现在|我的|你们|我们|需要|可以|吗|呢|吧|啊|么|的|了|是|我|你|在|会|被"
)


def normal(text: str) -> str:
    """Full-width digits and letters as plain ones, one kind of blank; the length of the text may change."""
    return unicodedata.normalize("NFKC", text)


def is_chinese(text: str) -> bool:
    return _HAN.search(text) is not None


def terms(text: str) -> frozenset[str]:
    """The words that carry the text's meaning: Chinese pairs (single characters where alone), stems of others."""
    lower = normal(text).lower()
    found: set[str] = set()
    for run in _HAN.findall(_EMPTY_HAN.sub(" ", lower)):
        if len(run) == 1:
            found.add(run)
        found.update(run[i : i + 2] for i in range(len(run) - 1))
    found.update(stem(word) for word in _WORD.findall(lower) if word not in _EMPTY_WORDS)
    return frozenset(found)


def stem(word: str) -> str:
    """A word without its English ending; at least four letters stay."""
    if any(c.isdigit() for c in word):
        return word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def weights(texts: Iterable[str]) -> dict[str, float]:
    """How telling each term is among these texts: rare ones more (logarithm of the inverse share)."""
    sets = [terms(t) for t in texts]
    counts = Counter(term for s in sets for term in s)
    return {term: 1.0 + math.log(len(sets) / n) for term, n in counts.items()}


def overlap(
    a: frozenset[str], b: frozenset[str], weight: Mapping[str, float] | None = None
) -> float:
    """Sum of the weights of shared terms (1 each without weights)."""
    shared = a & b
    return float(len(shared)) if weight is None else sum(weight.get(t, 1.0) for t in shared)
