"""Files that may change while the gateway runs: read again when they do; a broken one leaves the good one in force.

    keys = Reloading("keys", (path,), lambda: read_keys(path), told=metrics.reloaded)
    keys.value           # what was read last and was good
    keys.check()         # reads again where a file is another one than before

Kubernetes changes a mounted secret by swapping a link in the path, editors by renaming, people by writing in place: all
three change what `stat` says of the path. Nobody is asked for a signal.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")

_Mark = tuple[tuple[int, int, int, int] | None, ...]


class FileProblem(ValueError):
    """A file cannot be used; the message is a sentence that names it, and holds nothing of what is in it."""


class Watched(Protocol):
    """What `watch_forever` looks after."""

    def check(self) -> bool: ...


class Reloading(Generic[T]):
    """One value from one or more files. `told(name, good)` is told of every reading after the first."""

    def __init__(
        self,
        name: str,
        paths: Sequence[Path],
        read: Callable[[], T],
        told: Callable[[str, bool], None],
    ) -> None:
        """Reads at once. Raises FileProblem."""
        self._name = name
        self._paths = tuple(paths)
        self._read = read
        self._told = told
        # gRPC asks for certificates in a thread of its own.
        self._lock = threading.Lock()
        self._mark = _mark(self._paths)
        self.value = self._once_more_if_moved()

    def check(self) -> bool:
        """Reads again where a file changed; True when there is a new value. A file that cannot be used is told of once
        for each change."""
        mark = _mark(self._paths)
        if mark == self._mark:
            return False
        with self._lock:
            mark = _mark(self._paths)
            if mark == self._mark:
                return False
            try:
                value = self._once_more_if_moved()
            except FileProblem as problem:
                self._mark = mark
                log.error("reload failed; the old one stays", what=self._name, problem=str(problem))
                self._told(self._name, False)
                return False
            self._mark = mark
            self.value = value
        log.info("reloaded", what=self._name)
        self._told(self._name, True)
        return True

    def _once_more_if_moved(self) -> T:
        """Two files that belong together may be swapped between the reading of one and of the other."""
        before = _mark(self._paths)
        try:
            value = self._read()
        except FileProblem:
            if _mark(self._paths) == before:
                raise
            return self._read()
        return value if _mark(self._paths) == before else self._read()


async def watch_forever(watched: Iterable[Watched], every: float) -> None:
    """Looks at everything every so many seconds until cancelled."""
    everything = tuple(watched)
    while True:
        await asyncio.sleep(every)
        for one in everything:
            # Reading a file takes a fraction of a millisecond, and checking keys too: no thread is worth it.
            one.check()


def read_text(path: Path, what: str) -> str:
    """Raises FileProblem."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise FileProblem(f"{what} {path} is not UTF-8 text") from None
    except OSError as error:
        raise FileProblem(f"{what} {path} cannot be read: {_words(error)}") from None


def read_bytes(path: Path, what: str) -> bytes:
    """Raises FileProblem."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileProblem(f"{what} {path} cannot be read: {_words(error)}") from None


def _words(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def _mark(paths: tuple[Path, ...]) -> _Mark:
    return tuple(_stat(path) for path in paths)


def _stat(path: Path) -> tuple[int, int, int, int] | None:
    try:
        # Follows links: the file behind a swapped link is another inode.
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
