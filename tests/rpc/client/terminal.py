"""A terminal with the `kefu` command in it: what a person would type, and what they would see."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from types import TracebackType
from typing import Self

from tests.fakes.gateway import PATIENCE_S

# Makes the terminal the command's own, so that Ctrl-C reaches it as a signal.
_OWN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, '-m', 'kefu_client', *sys.argv[1:]])"
)
_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

CTRL_C = "\x03"
CTRL_D = "\x04"


class Window:
    """`kefu ARGUMENTS` on a terminal of 120 columns.

    with Window(gateway.address, "chat") as window:
        window.wait_for("you> ")
        window.press("多少钱?\\n")
        assert "299" in window.wait_for("you> ")
        assert window.press(CTRL_D).end() == 0
    """

    def __init__(self, address: str, *arguments: str, **environ: str) -> None:
        self._unread = ""
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        inherited = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "INPUTRC")}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _OWN_TERMINAL, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={
                **inherited,
                "KEFU_ADDRESS": address,
                "LC_ALL": "C.UTF-8",
                "TERM": "xterm",
                **environ,
            },
        )
        os.close(theirs)

    def press(self, text: str) -> Self:
        os.write(self._ours, text.encode())
        return self

    def wait_for(self, text: str) -> str:
        """What is shown from here on up to and with `text`, without colours and cursor codes."""
        shown = self._until(text, PATIENCE_S)
        assert text in shown, f"{text!r} never came, but {shown!r}"
        before, _, self._unread = shown.partition(text)
        return before + text

    def press_until(self, key: str, text: str) -> str:
        """Presses the key, again where nothing happens, until `text` is shown.

        Python does not notice a Ctrl-C that comes while readline is still drawing the key before it (a person is
        slower, and would press it again).
        """
        for _ in range(int(PATIENCE_S)):
            self.press(key)
            if text in self._until(text, 1.0):
                break
        return self.wait_for(text)

    def _until(self, text: str, seconds: float) -> str:
        """All that is unread, once `text` is in it or the time is over."""
        deadline = time.monotonic() + seconds
        while text not in (shown := _CODES.sub("", self._unread)):
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._ours], [], [], left)[0]:
                break
            self._unread += self._read()
        return shown

    def end(self) -> int:
        """Waits until the command has ended; its exit code."""
        return self._process.wait(PATIENCE_S)

    def _read(self) -> str:
        data = b""
        while True:
            try:
                data += os.read(self._ours, 4096)
            except OSError:
                data = data or b"\n(the command has ended)"
                raise AssertionError(self._unread + data.decode()) from None
            try:
                return data.decode()
            except UnicodeDecodeError:
                continue  # the rest of a character is still to come

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_S)
        os.close(self._ours)
