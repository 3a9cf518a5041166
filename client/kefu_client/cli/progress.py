"""One line on stderr that says what is being waited for; nothing at all where nobody watches."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from kefu_client.cli.console import Console

# Often enough to look alive, seldom enough to cost nothing.
_SECONDS_BETWEEN = 0.1
# A wait that is over before anyone can read the line should not flash.
_SECONDS_BEFORE_FIRST = 0.3
_ERASE = "\r\x1b[K"


class Progress:
    """Shows `text` and the seconds that have passed, until `clear()` or the end of the `with` block.

        with Progress(console, "waiting for the first token") as progress:
            ...
            progress.say("1 of 2 pictures prepared")

    Only when stderr is a terminal; else it does nothing and starts no thread.
    """

    def __init__(self, console: Console, text: str) -> None:
        self._console = console
        self._text = text
        self._start = time.monotonic()
        self._drawn = False
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def say(self, text: str) -> None:
        """Changes what is being waited for."""
        self._text = text

    def clear(self) -> None:
        """Takes the line away for good; what is written next starts in an empty line."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._drawn:
            self._console.err.write(_ERASE)
            self._console.err.flush()
            self._drawn = False

    def _draw(self) -> None:
        pause = _SECONDS_BEFORE_FIRST
        while not self._over.wait(pause):
            seconds = time.monotonic() - self._start
            self._console.err.write(f"{_ERASE}{self._text} … {seconds:.1f} s")
            self._console.err.flush()
            self._drawn = True
            pause = _SECONDS_BETWEEN

    def __enter__(self) -> Self:
        if self._console.can_redraw:
            self._thread = threading.Thread(target=self._draw, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clear()
