"""The prompt as token ids: finding the question in it, and putting pages where the placeholders stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from engines.base import ContractError
from engines.reader.ocr import Page
from engines.reader.text import is_chinese


def _byte_letters() -> dict[str, int]:
    """Byte-level BPE writes each byte as a printable letter; this is the way back (the table of GPT-2)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = {chr(b): b for b in printable}
    others = (b for b in range(256) if b not in printable)
    return letters | {chr(256 + n): b for n, b in enumerate(others)}


_BYTES = _byte_letters()


@dataclass(frozen=True, slots=True)
class Question:
    """text: the last thing the customer said; chinese: its language, which the answer has, too;
    context: everything that was said before, pictures left out."""

    text: str
    chinese: bool
    context: str


@dataclass(frozen=True, slots=True)
class Expanded:
    """ids: the prompt with the pages in it; visual: tokens of each page; shown: rows of each page that had room."""

    ids: list[int]
    visual: tuple[int, ...]
    shown: tuple[int, ...]


class PromptReader:
    """Works on ids with the model's own tokenizer (`tokenizer.json` beside the weights)."""

    def __init__(
        self,
        path: Path,
        *,
        placeholder_id: int,
        turn_start: str,
        turn_end: str,
        labels: Sequence[str],
    ) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.encode_special_tokens = True
        self._placeholder = placeholder_id
        self._labels = tuple(labels)
        self._start = self._special(turn_start)
        self._end = self._special(turn_end)
        self.vocabulary = self._tokenizer.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; what looks like a special token in it is text all the same.

        Customers' pictures must not be able to end a turn by showing the words that end one.
        """
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def raw(self, ids: Sequence[int]) -> list[bytes]:
        """The bytes of each token (a token can be a part of a character)."""
        return [
            bytes(_BYTES[c] for c in self._tokenizer.id_to_token(i) or "" if c in _BYTES)
            for i in ids
        ]

    def text(self, ids: Sequence[int]) -> str:
        """A prompt as text, its special tokens shown."""
        shown: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        return shown

    def question(self, ids: Sequence[int]) -> Question:
        """The last turn of the customer; for a prompt without turns, the whole of it."""
        turns = self._turns(ids)
        asked = next((i for i in range(len(turns) - 1, -1, -1) if turns[i][0] == "user"), None)
        if asked is None:
            text = self._tokenizer.decode([i for i in ids if i != self._placeholder])
            return Question(text, is_chinese(text), "")
        text = self._asked(turns[asked][1])
        before = "\n".join(body for _, body in turns[:asked])
        # A turn of digits alone ("299?") has no language: the conversation's counts, then Chinese.
        speaks = any(c.isalpha() for c in text)
        chinese = is_chinese(text) if speaks else (is_chinese(before) or not before)
        return Question(text, chinese, before + "\n" + turns[asked][1])

    def expand(self, ids: Sequence[int], pages: Sequence[Page], limit: int, empty: str) -> Expanded:
        """Replaces each placeholder by its page's rows, at most `limit` tokens of them; `empty` stands for none."""
        out: list[int] = []
        visual, shown = [], []
        left = iter(pages)
        for token in ids:
            if token != self._placeholder:
                out.append(token)
                continue
            page = next(left, None)
            if page is None:
                raise ContractError("placeholder_mismatch", "more placeholders than pictures")
            rows, count = self._page_ids(page, limit, empty)
            out.extend(rows)
            visual.append(len(rows))
            shown.append(count)
        return Expanded(out, tuple(visual), tuple(shown))

    def _page_ids(self, page: Page, limit: int, empty: str) -> tuple[list[int], int]:
        ids = (
            self.encode("\n".join(row.text for row in page.rows))
            if page.rows
            else self.encode(empty)
        )
        if len(ids) <= limit:
            return ids, len(page.rows)
        ids, count = [], 0
        for row in page.rows:
            more = self.encode(("\n" if ids else "") + row.text)
            if len(ids) + len(more) > limit:
                break
            ids.extend(more)
            count += 1
        return ids, count

    def _turns(self, ids: Sequence[int]) -> list[tuple[str, str]]:
        """(role, body) of each turn in a ChatML prompt; pictures stay in the body as a blank line."""
        turns: list[tuple[str, str]] = []
        current: list[int] | None = None
        for token in ids:
            if token == self._start:
                current = []
            elif token == self._end and current is not None:
                turns.append(self._turn(current))
                current = None
            elif current is not None:
                current.append(token)
        return turns

    def _turn(self, ids: list[int]) -> tuple[str, str]:
        pieces: list[list[int]] = [[]]
        for token in ids:
            if token == self._placeholder:
                pieces.append([])
            else:
                pieces[-1].append(token)
        body = "\0".join(self._tokenizer.decode(p) for p in pieces)
        role, _, rest = body.partition("\n")
        return role.strip(), rest

    def _special(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ValueError(f"tokenizer.json has no token {token!r}")
        return int(found)

    def _asked(self, body: str) -> str:
        """The customer's words: the template puts pictures before them, and a label that is not theirs."""
        text = body.rpartition("\0")[2].strip()
        for label in self._labels:
            if text.startswith(label):
                return text[len(label) :].strip()
        return text
