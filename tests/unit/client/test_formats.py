"""What a file is, from its first bytes; and how far one has come."""

from __future__ import annotations

import io

import pytest

from kefu_client.cli.bar import Bar
from kefu_client.cli.console import Console
from kefu_client.formats import media_type_of
from tests.unit.client.test_console import Terminal


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        (b"BM\x10\0\0\0\0\0\0\0", "image/bmp"),
        (b"%PDF-1.7", "application/pdf"),
        (b"RIFF\x10\0\0\0WAVEfmt ", ""),
        (b"BMW is late again", ""),
        (b"GIF89a", ""),
        (b"", ""),
    ],
)
def test_media_type(head: bytes, media_type: str) -> None:
    assert media_type_of(head) == media_type


def test_a_bar_leaves_nothing_behind_and_comes_late_for_nobody() -> None:
    err = Terminal()
    bar = Bar(Console(io.StringIO(), err, {}))
    with bar.of("a.png"):
        bar.show(1, 2)
    assert "a.png  [###############...............]  50%" in err.getvalue()
    assert err.getvalue().endswith("\r\x1b[K")
    drawn = err.getvalue()
    bar.show(2, 2)
    assert err.getvalue() == drawn


def test_no_bar_where_nobody_watches() -> None:
    err = io.StringIO()
    bar = Bar(Console(io.StringIO(), err, {}))
    with bar.of("a.png"):
        bar.show(1, 2)
    assert err.getvalue() == ""
