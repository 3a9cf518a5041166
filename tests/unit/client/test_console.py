"""Columns with Chinese in them, colours, and text that must not steer a terminal."""

from __future__ import annotations

import io
import threading

import pytest

from kefu_client.cli.console import Console, printable
from kefu_client.cli.progress import Progress
from kefu_client.cli.table import pad, table, width


class Terminal(io.StringIO):
    """A stream that says that a person is watching."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("abc", 3),
        ("订单", 4),
        ("ａ，。", 6),  # full-width letter and punctuation
        ("¥299.00", 7),
        ("e\u0301", 1),  # e and a combining accent
        ("👍", 2),
        ("👨\u200d👩", 4),  # drawn as two where a terminal cannot join them
        ("한국", 4),
        ("", 0),
    ],
)
def test_width(text: str, columns: int) -> None:
    assert width(text) == columns


def test_columns_line_up_when_chinese_and_english_are_mixed() -> None:
    lines = table([["审核结果", "拒绝", "1"], ["status", "rejected", "22"]], align="<<>")
    assert lines == ["审核结果  拒绝       1", "status    rejected  22"]
    assert width(lines[0]) == width(lines[1])


def test_rows_of_different_length_and_no_blanks_at_the_end() -> None:
    assert table([["a"], ["bb", "c"]]) == ["a", "bb  c"]
    assert table([["a", ""], ["bb", "c"]]) == ["a", "bb  c"]
    assert table([]) == []
    assert pad("订", 4, right=True) == "  订"


@pytest.mark.parametrize(
    ("out", "environ", "coloured"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colours_only_for_people(out: io.StringIO, environ: dict[str, str], coloured: bool) -> None:
    assert ("\x1b[" in Console(out, io.StringIO(), environ).bold("x")) is coloured


def test_an_answer_cannot_steer_the_terminal() -> None:
    """A page may hold an escape sequence, and a model reads aloud what stands on it."""
    out = io.StringIO()
    Console(out, io.StringIO(), {}).write("ok\x1b]0;owned\x07\r\x9b2J\tend\n")
    assert out.getvalue() == "ok\ufffd]0;owned\ufffd\ufffd\ufffd2J\tend\n"
    assert printable("为什么\n") == "为什么\n"


def test_json_is_utf8_whatever_the_locale_says() -> None:
    raw = io.BytesIO()
    console = Console(io.TextIOWrapper(raw, encoding="ascii"), io.StringIO(), {})
    console.json({"答": "299 元"})
    assert '"答": "299 元"' in raw.getvalue().decode("utf-8")


def test_text_that_the_locale_cannot_show_does_not_end_the_command() -> None:
    raw = io.BytesIO()
    console = Console(io.TextIOWrapper(raw, encoding="ascii"), io.StringIO(), {})
    console.write("299 元")
    assert raw.getvalue() == b"299 ?"


def test_progress_says_nothing_where_nobody_watches() -> None:
    err = io.StringIO()
    with Progress(Console(io.StringIO(), err, {}), "waiting") as progress:
        progress.say("still waiting")
    assert err.getvalue() == ""


class _Watched(Terminal):
    """A terminal that can be waited for: says when a text has been drawn on it."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def write(self, text: str) -> int:
        with self._changed:
            count = super().write(text)
            self._changed.notify_all()
        return count

    def wait_for(self, text: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: text in self.getvalue(), 60)


def test_progress_is_one_line_that_leaves_nothing_behind() -> None:
    err = _Watched()
    with Progress(Console(io.StringIO(), err, {}), "preparing 2 pictures") as progress:
        err.wait_for("preparing 2 pictures … ")
        progress.say("waiting for the first token")
        err.wait_for("waiting for the first token … ")
    assert err.getvalue().endswith("\r\x1b[K")
    assert "\n" not in err.getvalue()
