"""Word lists from TOML as regular expressions."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_LATIN = re.compile(r"(?:\(\?:)?[A-Za-z]")


def read_words(name: str) -> dict[str, Any]:
    """One of the TOML files beside this module."""
    return tomllib.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))


def any_of(pieces: Iterable[str]) -> re.Pattern[str]:
    """Matches any piece; Latin ones as whole words, upper or lower case.  No pieces match nothing."""
    parts = [rf"\b(?:{p})(?!\w)" if _LATIN.match(p) else p for p in pieces]
    return re.compile("|".join(parts) or r"(?!)", re.IGNORECASE | re.ASCII)
