"""Hashes of files, with a bar on a terminal: SHA-256, and git's own name of a blob."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped]

_BLOCK = 4 << 20


def digest(path: Path, describe: str = "") -> str:
    """SHA-256 in hex."""
    return _read(path, hashlib.sha256(), describe)


def git_blob(path: Path) -> str:
    """What git calls this content: SHA-1 over a header and the bytes (hex). The hub knows small files by it alone."""
    head = f"blob {path.stat().st_size}\0".encode()
    return _read(path, hashlib.sha1(head, usedforsecurity=False), "")


def bar(total: int, describe: str) -> tqdm:
    """A progress bar in bytes; silent without a description, and where nobody looks."""
    return tqdm(
        total=total,
        desc=describe,
        unit="B",
        unit_scale=True,
        disable=not describe or not sys.stderr.isatty(),
        leave=False,
    )


def _read(path: Path, found: Any, describe: str) -> str:
    with path.open("rb") as stream, bar(path.stat().st_size, describe) as shown:
        while block := stream.read(_BLOCK):
            found.update(block)
            shown.update(len(block))
    answer: str = found.hexdigest()
    return answer
