"""Which enhancement helps reading: OCR recall of known lines, before and after, by degradation.

"Before" is the degraded picture as it is, lossless. Counts are paired: the same line of the same picture, read before
and not after (lost), or after and not before (won).
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from bench.pictures_truth import DEGRADATIONS, Pixels, Written, lines_read, pages, receipts
from kefu_preprocess.domain.pipeline import prepare
from kefu_preprocess.domain.values import CropMode, Job, Limits, Profile

# 3 MP: the reader's OCR shrinks what is longer than 2,000 pixels anyway.
_BUDGET = 3_000_000


def _profile(contrast: float, sharpen: float, clahe: float, webp: int) -> Profile:
    return Profile(
        contrast=contrast, sharpen=sharpen, clahe=clahe, webp_quality=webp, max_pixels=_BUDGET
    )


PROFILES: dict[str, Profile] = {
    "nothing, WebP 80": _profile(1, 0, 0, 80),
    "nothing, WebP 90": _profile(1, 0, 0, 90),
    "nothing, WebP 95": _profile(1, 0, 0, 95),
    "contrast 1.3, WebP 90": _profile(1.3, 0, 0, 90),
    "sharpen 0.5, WebP 90": _profile(1, 0.5, 0, 90),
    "sharpen 1.5, WebP 90": _profile(1, 1.5, 0, 90),
    "both (usual), WebP 90": _profile(1.3, 1.5, 0, 90),
    "CLAHE 2, WebP 90": _profile(1, 0, 2, 90),
}


class Reader:
    """The OCR of another environment, one process."""

    def __init__(self, python: str) -> None:
        script = Path(__file__).with_name("pictures_ocr_reader.py")
        self._process = subprocess.Popen(
            [python, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._answer()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)

    def read(self, path: Path) -> list[str]:
        """The texts on a picture."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        texts: list[str] = self._answer()
        return texts

    def read_bytes(self, data: bytes, suffix: str) -> list[str]:
        """The texts on a picture that is only in memory."""
        with tempfile.NamedTemporaryFile(suffix=suffix) as file:
            file.write(data)
            file.flush()
            return self.read(Path(file.name))

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(
                "the OCR ended: is rapidocr installed in the environment of --ocr-python?"
            )
        return json.loads(line)


def png(pixels: Pixels) -> bytes:
    """RGB as PNG, quickly."""
    ok, data = cv2.imencode(".png", pixels[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert ok
    return data.tobytes()


def run(data: Path, python: str, *, sample: int, profiles: Sequence[str] = ()) -> None:
    """Prints the table. `data` holds receipts/ and pages/; `sample` is how many receipts are read."""
    names = list(profiles) or list(PROFILES)
    pictures: list[Written] = [
        *list(receipts(data / "receipts"))[:sample],
        *pages(data / "pages"),
        *pages(data / "pages", "_photo.jpg"),
    ]
    print(
        f"OCR recall, {len(pictures)} pictures, lines read of all (won/lost against the picture before)"
    )
    with Reader(python) as reader:
        for degradation, degrade in DEGRADATIONS.items():
            before: list[bool] = []
            after: dict[str, list[bool]] = {name: [] for name in names}
            sent: dict[str, int] = dict.fromkeys(names, 0)
            for picture in pictures:
                degraded = png(degrade(picture.pixels()))
                before += lines_read(picture.lines, reader.read_bytes(degraded, ".png"))
                for name in names:
                    job = Job(data=degraded, profile=PROFILES[name], crop_mode=CropMode.FORBID)
                    prepared = prepare(job, Limits())
                    sent[name] += len(prepared.data)
                    read = reader.read_bytes(prepared.data, ".webp")
                    after[name] += lines_read(picture.lines, read)
            print(
                f"\n{degradation}: before {sum(before)}/{len(before)} = {sum(before) / len(before):.3f}"
            )
            for name in names:
                won = sum(b and not a for a, b in zip(before, after[name], strict=True))
                lost = sum(a and not b for a, b in zip(before, after[name], strict=True))
                recall = sum(after[name]) / len(before)
                print(
                    f"  {name:28s} {sum(after[name]):4d}/{len(before)} = {recall:.3f}"
                    f"  +{won} -{lost}  {sent[name] / len(pictures) / 1000:.0f} kB",
                    flush=True,
                )
