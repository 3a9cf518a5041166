"""Where the command writes: results to stdout, everything else to stderr, colours only for people."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any, TextIO


class Console:
    """Both output streams, and what may be done with them.

    Colours only when stdout is a terminal, NO_COLOR is empty or absent (no-color.org) and the terminal is not "dumb".
    """

    def __init__(self, out: TextIO, err: TextIO, environ: Mapping[str, str]) -> None:
        self.out = out
        self.err = err
        plain = bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"
        self._colour = out.isatty() and not plain
        # A line that is drawn over and over needs a terminal that can move its cursor.
        self._mid_line = False
        self.can_redraw = err.isatty() and environ.get("TERM") != "dumb"
        for stream in (out, err):
            if isinstance(stream, io.TextIOWrapper):
                # A terminal that cannot show 为什么 is no reason to lose the rest of the answer.
                stream.reconfigure(errors="replace")

    def write(self, text: str) -> None:
        """Text of an answer, as it comes: visible at once, and never able to steer the terminal."""
        self.out.write(printable(text))
        self.out.flush()
        self._mid_line = not text.endswith("\n") if text else self._mid_line

    def line(self, text: str = "") -> None:
        """One line of a report."""
        self.out.write(text + "\n")
        self._mid_line = False

    def json(self, document: Any, *, indent: int | None = 2) -> None:
        """One JSON document and a line break; always UTF-8, whatever the locale says."""
        if isinstance(self.out, io.TextIOWrapper):
            self.out.reconfigure(encoding="utf-8")
        self.out.write(json.dumps(document, ensure_ascii=False, indent=indent) + "\n")
        self.out.flush()

    def verbatim(self, text: str) -> None:
        """A document as it is, always UTF-8; on a terminal without what could steer it."""
        if isinstance(self.out, io.TextIOWrapper):
            self.out.reconfigure(encoding="utf-8")
        self.out.write(printable(text) if self.out.isatty() else text)
        self.out.flush()

    def complain(self, first: str, *more: str) -> None:
        """An error on stderr: what is wrong, then what helps, indented."""
        # The answer may stand half written on stdout: it belongs above its error.
        if self._mid_line and self.out.isatty():
            self.line()
        self.out.flush()
        self.err.write(f"kefu: {printable(first)}\n")
        for text in more:
            self.err.write(f"      {printable(text)}\n")
        self.err.flush()

    def bold(self, text: str) -> str:
        """A heading."""
        return f"\x1b[1m{text}\x1b[0m" if self._colour else text

    def dim(self, text: str) -> str:
        """Something that is seldom looked at."""
        return f"\x1b[2m{text}\x1b[0m" if self._colour else text

    def warn(self, text: str) -> str:
        """Something that a person should see."""
        return f"\x1b[33m{text}\x1b[0m" if self._colour else text


def printable(text: str) -> str:
    """The text without control characters other than line breaks and tabs.

    An answer repeats what stands on a stranger's picture; a terminal would obey an escape sequence in it.
    """
    return "".join(
        sign if sign in "\n\t" or not _is_control(sign) else "\N{REPLACEMENT CHARACTER}"
        for sign in text
    )


def inline(text: str) -> str:
    """The text as one line of a table: printable, line breaks and tabs as blanks."""
    return " ".join(printable(text).split())


def _is_control(sign: str) -> bool:
    return sign < " " or "\x7f" <= sign <= "\x9f"
