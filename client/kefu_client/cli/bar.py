"""A progress bar on stderr, for people; nothing at all where nobody watches."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kefu_client.cli.console import Console, inline
from kefu_client.errors import KefuCallError

_WIDTH = 30
_ERASE = "\r\x1b[K"


class Bar:
    """How far one file has come.

        with bar.of("order.png"):
            client.upload("order.png", on_progress=bar.show)

    `show` may be called from any thread, also from one that is late: outside of the `with` block nothing is drawn.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._name = ""
        self._lock = threading.Lock()

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """The bar of one file; taken away at the end."""
        with self._lock:
            self._name = name
        try:
            yield
        finally:
            with self._lock:
                self._name = ""
                self._draw("")

    def show(self, sent: int, size: int) -> None:
        """So many bytes of so many are on their way."""
        with self._lock:
            if self._name:
                full = _WIDTH * sent // size
                amount = f"{sent / 2**20:.1f} of {size / 2**20:.1f} MiB"
                self._draw(f"{self._name}  [{'#' * full:.<{_WIDTH}}] {sent / size:4.0%}  {amount}")

    def wait(self, error: KefuCallError, seconds: float) -> None:
        """The stream broke, and goes on in so many seconds."""
        with self._lock:
            if self._name:
                self._draw(f"{self._name}  {inline(error.message)}: goes on in {seconds:.1f} s")

    def _draw(self, text: str) -> None:
        if self._console.can_redraw:
            self._console.err.write(_ERASE + text)
            self._console.err.flush()
