"""Aligned columns, also with Chinese in them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_GAP = "  "


def width(text: str) -> int:
    """Columns that a terminal needs for the text: 2 for a Chinese character or an emoji, 0 for a combining mark."""
    return sum(_sign_width(sign) for sign in text)


def _sign_width(sign: str) -> int:
    # Marks, and joiners and selectors inside emoji, are drawn onto the sign before them.
    if unicodedata.category(sign) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """The text filled up with blanks to so many columns; `right` puts it at the right edge."""
    blanks = " " * max(0, columns - width(text))
    return blanks + text if right else text + blanks


def table(rows: Sequence[Sequence[str]], *, align: str = "") -> list[str]:
    """The rows as lines with aligned columns.

    `align` has one letter a column: "<" left (the default), ">" right. Nothing is filled up behind the last column.
    """
    columns = max((len(row) for row in rows), default=0)
    align = align.ljust(columns, "<")
    widths = [
        max(width(row[column]) for row in rows if column < len(row)) for column in range(columns)
    ]
    lines = []
    for row in rows:
        cells = [
            pad(cell, widths[column], right=align[column] == ">") for column, cell in enumerate(row)
        ]
        lines.append(_GAP.join(cells).rstrip())
    return lines
