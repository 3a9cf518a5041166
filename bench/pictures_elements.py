"""Elements: milliseconds."""

from __future__ import annotations

from pathlib import Path

from bench.pictures_speed import fastest
from bench.pictures_truth import pages
from kefu_preprocess.domain.elements import find_elements


def run(root: Path) -> None:
    """Milliseconds for the elements of a 1080×2400 shot."""
    for page in pages(root / "pages"):
        pixels = page.pixels()
        found = find_elements(pixels)
        took = fastest(lambda pixels=pixels: find_elements(pixels))  # type: ignore[misc]
        print(f"  {page.name:14s} {took:5.1f} ms, {len(found)} elements")
