"""Pictures whose text is known, and what a careless hand does to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Written:
    """A picture (file bytes) and the lines of text on it."""

    name: str
    path: Path
    lines: tuple[str, ...]

    def pixels(self) -> Pixels:
        """RGB."""
        picture = cv2.imread(str(self.path), cv2.IMREAD_COLOR)
        assert picture is not None, self.path
        return np.ascontiguousarray(picture[:, :, ::-1])


def receipts(folder: Path) -> Iterator[Written]:
    """Real receipts, tickets and adverts of `truth.jsonl`."""
    for line in (folder / "truth.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield Written(row["file"], folder / row["file"], tuple(row["lines"]))


def pages(folder: Path, suffix: str = ".png") -> Iterator[Written]:
    """Drawn phone pages of `lines.json`: clean (".png"), "_half.jpg" or "_photo.jpg"."""
    for name, lines in json.loads((folder / "lines.json").read_text(encoding="utf-8")).items():
        yield Written(f"{name}{suffix}", folder / f"{name}{suffix}", tuple(lines))


def normal(text: str) -> str:
    """Letters and digits alone, in lower case: readers differ in spaces and punctuation."""
    return "".join(letter for letter in text.lower() if letter.isalnum())


def lines_read(lines: tuple[str, ...], read: list[str]) -> list[bool]:
    """For each line of truth whether it was read: whole, letter for letter."""
    everything = "\n".join(normal(each) for each in read)
    joined = everything.replace("\n", "")
    wanted = [normal(each) for each in lines]
    return [each in joined for each in wanted if len(each) >= 2]


def _blur(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), 1.8), np.uint8)


def _low_light(pixels: Pixels, grain: float = 5) -> Pixels:
    noise = np.random.default_rng(7).normal(0, grain, pixels.shape)
    return np.clip(pixels * 0.28 + noise, 0, 255).astype(np.uint8)


def _jpeg(pixels: Pixels, quality: int = 30) -> Pixels:
    ok, data = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.ascontiguousarray(decoded[:, :, ::-1])


def _half(pixels: Pixels) -> Pixels:
    return np.asarray(
        cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8
    )


DEGRADATIONS: dict[str, Callable[[Pixels], Pixels]] = {
    "as it is": lambda pixels: pixels,
    "blur": _blur,
    "low light": _low_light,
    "JPEG q30": _jpeg,
    "half size": _half,
    # As a messenger passes on what a phone has freed of most of its grain.
    "low light, JPEG q75": lambda pixels: _jpeg(_low_light(pixels, 2), 75),
}
