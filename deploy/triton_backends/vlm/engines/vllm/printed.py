"""What the processes of an engine print, passed on to the server's log and kept for a while.

with Printed() as printed:      # processes started within print into it
    start()
printed.tail()
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections import deque
from typing import Any, Self

_LINES = 400


class Printed:
    """Stands in for standard output and error while processes are started; they keep it, we get our own back."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque(maxlen=_LINES)
        self._saved: list[int] = []

    def __enter__(self) -> Self:
        sys.stdout.flush()
        sys.stderr.flush()
        self._saved = [os.dup(1), os.dup(2)]
        read, write = os.pipe()
        for number in (1, 2):
            os.dup2(write, number)
        os.close(write)
        threading.Thread(
            target=self._pass_on, args=(read, os.dup(self._saved[1])), name="printed", daemon=True
        ).start()
        return self

    def __exit__(self, *_: Any) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, saved in zip((1, 2), self._saved, strict=True):
            os.dup2(saved, number)
            os.close(saved)

    def tail(self) -> str:
        return b"".join(list(self._lines)).decode("utf-8", "replace")

    def _pass_on(self, read: int, log: int) -> None:
        with os.fdopen(read, "rb") as lines:
            for line in lines:
                self._lines.append(line)
                with contextlib.suppress(OSError):  # a full disk must not hold the engine up
                    os.write(log, line)
