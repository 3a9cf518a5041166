"""What the reader remembers of a picture is one scope's: a fast answer must not tell that another tenant sent it."""

from __future__ import annotations

from collections import Counter

import pytest
from engines.reader.ocr import OcrSettings, Page, PageReader


class Meter(Counter[str]):
    def add(self, name: str, value: float = 1.0) -> None:
        self[name] += 1


def test_a_page_is_known_in_its_own_scope_only(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []

    def once(self: PageReader, picture: bytes) -> Page:
        read.append(picture)
        return Page(rows=(), width=1, height=1, seconds=0.0)

    monkeypatch.setattr(PageReader, "_read", once)
    ocr = PageReader(OcrSettings(threads=1), Meter())
    assert [ocr.read(b"p", scope)[1] for scope in ("shop", "shop", "bank", "", "")] == [
        False, True, False, False, True,
    ]  # fmt: skip
    assert len(read) == 3
