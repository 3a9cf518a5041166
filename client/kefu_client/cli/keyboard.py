"""Reads a person's lines: arrow keys, history and completion where Python has readline."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Keyboard:
    """The history lives as long as the window does: what customers write is not left behind in a file."""

    def __init__(self, commands: Sequence[str]) -> None:
        self._readline = _readline()
        if self._readline is not None:
            self._readline.set_completer_delims(" \t\n")
            self._readline.set_completer(_completer(commands))
            # libedit, which stands in for readline on macOS, has its own words.
            if "libedit" in (self._readline.__doc__ or ""):
                self._readline.parse_and_bind("bind ^I rl_complete")
            else:
                self._readline.parse_and_bind("tab: complete")
                # Several lines that are pasted are one question.
                self._readline.parse_and_bind("set enable-bracketed-paste on")

    def line(self, prompt: str) -> str:
        """The next line. Raises EOFError for Ctrl-D, KeyboardInterrupt for Ctrl-C."""
        if self._readline is not None:
            # readline counts what it draws; colours take no room.
            prompt = _COLOUR.sub(lambda code: f"\x01{code[0]}\x02", prompt)
        return input(prompt)


def _readline() -> ModuleType | None:
    try:
        import readline
    except ImportError:
        return None
    return readline


def _completer(commands: Sequence[str]) -> Callable[[str, int], str | None]:
    def complete(word: str, state: int) -> str | None:
        found = (
            [f"{each} " for each in commands if each.startswith(word)] if word[:1] == "/" else []
        )
        found += _files(word)
        return found[state] if state < len(found) else None

    return complete


def _files(begun: str) -> list[str]:
    pattern = glob.escape(str(Path(begun).expanduser()) if begun.startswith("~/") else begun)
    return sorted(f"{each}/" if Path(each).is_dir() else each for each in glob.glob(f"{pattern}*"))
