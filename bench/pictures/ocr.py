"""Which enhancement helps reading: OCR recall of known lines, for each model's pixel budget, by degradation.

"Sent" is the degraded picture as the customer sends it, read without any preparation. Counts are paired: the same line
of the same picture. `won` and `lost` are against the same model's plain profile ("nothing"), those of the card's own
settings against "sent" as well. p is that of the exact McNemar test (two-sided): how likely so uneven a split would be
if the setting made no difference. Lines of one picture are not independent, so a p near 0.05 proves nothing; pictures
that got better and worse are counted beside it.
"""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.pictures.models import MODELS, Model
from bench.pictures.truth import DEGRADATIONS, Pixels, Written, lines_read, pages, receipts
from kefu_preprocess.domain.pipeline import prepare
from kefu_preprocess.domain.values import CropMode, Job, Limits, Profile

PLAIN = "nothing, WebP 85"
OWN = "as the card says"
_OVER_SENT = "the same over as sent"
_CARDS = Path(__file__).parents[2] / "deploy/triton_models"


def _profile(
    contrast: float,
    sharpen: float,
    clahe: float,
    webp: int,
    blurred: float = 0.0,
    lift: float = 0.0,
) -> Profile:
    return Profile(
        contrast=contrast,
        sharpen=sharpen,
        sharpen_blurred=blurred,
        lift_dark=lift,
        clahe=clahe,
        webp_quality=webp,
    )


PROFILES: dict[str, Profile] = {
    PLAIN: _profile(1, 0, 0, 85),
    "nothing, WebP 75": _profile(1, 0, 0, 75),
    "nothing, WebP 95": _profile(1, 0, 0, 95),
    "contrast 1.3": _profile(1.3, 0, 0, 85),
    "sharpen 0.5": _profile(1, 0.5, 0, 85),
    "sharpen 1.5": _profile(1, 1.5, 0, 85),
    "sharpen 1.5 if blurred": _profile(1, 0, 0, 85, 1.5),
    "lift 2 if dark": _profile(1, 0, 0, 85, 0.0, 2),
    "both (usual numbers)": _profile(1.3, 1.5, 0, 85),
    "CLAHE 2": _profile(1, 0, 2, 85),
}


def card_profile(name: str) -> Profile:
    """What the card of a model asks for; what it leaves open is the sidecar's default."""
    card = json.loads((_CARDS / name / "1/model.json").read_text(encoding="utf-8"))
    settings = dict(card["preprocess"])
    return Profile(
        name=settings.pop("profile"),
        max_pixels=card["picture"]["max_pixels"],
        min_pixels=card["picture"]["min_pixels"],
        **settings,
    )


class Reader:
    """The OCR of another environment, one process. `remembered` is a file of earlier readings by the picture's hash:
    the same bytes read the same, so a run that was broken off goes on where it stopped."""

    def __init__(self, python: str, remembered: Path | None = None) -> None:
        script = Path(__file__).with_name("ocr_reader.py")
        self._process = subprocess.Popen(
            # -P: a module of this folder must not stand for one that the OCR imports.
            [python, "-P", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._file = remembered
        self._known: dict[str, list[str]] = {}
        if remembered is not None and remembered.exists():
            for line in remembered.read_text(encoding="utf-8").splitlines():
                sha256, texts = json.loads(line)
                self._known[sha256] = texts
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
        sha256 = hashlib.sha256(data).hexdigest()
        known = self._known.get(sha256)
        if known is not None:
            return known
        with tempfile.NamedTemporaryFile(suffix=suffix) as file:
            file.write(data)
            file.flush()
            texts = self.read(Path(file.name))
        self._known[sha256] = texts
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as sink:
                sink.write(json.dumps([sha256, texts], ensure_ascii=False) + "\n")
        return texts

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


def mcnemar(won: int, lost: int) -> float:
    """Two-sided exact p of a split of `won + lost` changed lines (McNemar, Psychometrika 12, 1947)."""
    changed = won + lost
    if changed == 0:
        return 1.0
    tail = sum(math.comb(changed, each) for each in range(min(won, lost) + 1))
    return min(1.0, 2.0 * tail / 2.0**changed)


def run(
    data: Path,
    python: str,
    *,
    sample: int,
    models: Sequence[str] = (),
    degraded: Sequence[str] = (),
    settings: Sequence[str] = (),
    remembered: Path | None = None,
) -> None:
    """Prints the tables. `data` holds receipts/ and pages/; `sample` is how many receipts are read."""
    pictures: list[Written] = [
        *list(receipts(data / "receipts"))[:sample],
        *pages(data / "pages"),
        *pages(data / "pages", "_photo.jpg"),
    ]
    print(f"OCR recall on {len(pictures)} pictures; won and lost against {PLAIN!r}")
    with Reader(python, remembered) as reader:
        for name in models or MODELS:
            profiles = {**PROFILES, OWN: card_profile(name)}
            titles = [PLAIN, *(each for each in settings or profiles if each != PLAIN)]
            chosen = {each: profiles[each] for each in titles}
            _model(reader, name, pictures, degraded or list(DEGRADATIONS), chosen)


def _model(
    reader: Reader,
    name: str,
    pictures: Sequence[Written],
    degraded_by: Sequence[str],
    settings: Mapping[str, Profile],
) -> None:
    model = MODELS[name]
    print(f"\n{name}: at most {model.max_pixels} pixels, in multiples of {model.multiple_of}")
    totals: dict[str, list[list[bool]]] = {each: [] for each in settings}
    sent_in_all: list[list[bool]] = []
    for degradation in degraded_by:
        sent: list[list[bool]] = []
        read: dict[str, list[list[bool]]] = {each: [] for each in settings}
        size = dict.fromkeys(settings, 0)
        for picture in pictures:
            degraded = png(DEGRADATIONS[degradation](picture.pixels()))
            sent.append(lines_read(picture.lines, reader.read_bytes(degraded, ".png")))
            for title, profile in settings.items():
                data, seen = prepared(degraded, profile, model)
                size[title] += len(data)
                read[title].append(lines_read(picture.lines, reader.read_bytes(seen, ".png")))
        lines = sum(len(each) for each in sent)
        print(f" {degradation}: as sent {_count(sent)} of {lines}", flush=True)
        for title, lists in read.items():
            totals[title] += lists
            kilobytes = size[title] / len(pictures) / 1000
            print(f"  {title:22s} {_row(lists, read[PLAIN])}  {kilobytes:.0f} kB", flush=True)
        if OWN in read:
            print(f"  {_OVER_SENT:22s} {_row(read[OWN], sent)}", flush=True)
        sent_in_all += sent
    print(f" all together: as sent {_count(sent_in_all)}")
    for title, lists in totals.items():
        print(f"  {title:22s} {_row(lists, totals[PLAIN])}", flush=True)
    if OWN in totals:
        print(f"  {_OVER_SENT:22s} {_row(totals[OWN], sent_in_all)}", flush=True)


def prepared(data: bytes, profile: Profile, model: Model) -> tuple[bytes, bytes]:
    """The prepared WebP of a picture, and a PNG of what the model's encoder sees of it."""
    profile = replace(profile, max_pixels=model.max_pixels, multiple_of=model.multiple_of)
    result = prepare(Job(data=data, profile=profile, crop_mode=CropMode.FORBID), Limits()).data
    pixels = cv2.imdecode(np.frombuffer(result, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert pixels is not None
    return result, png(model.sees(np.asarray(pixels, np.uint8)))


def _count(lists: Sequence[Sequence[bool]]) -> int:
    return sum(sum(each) for each in lists)


def _row(lists: Sequence[Sequence[bool]], plain: Sequence[Sequence[bool]]) -> str:
    pairs = [
        (now, before)
        for some, others in zip(lists, plain, strict=True)
        for now, before in zip(some, others, strict=True)
    ]
    won = sum(now and not before for now, before in pairs)
    lost = sum(before and not now for now, before in pairs)
    better = sum(sum(a) > sum(b) for a, b in zip(lists, plain, strict=True))
    worse = sum(sum(a) < sum(b) for a, b in zip(lists, plain, strict=True))
    return (
        f"{_count(lists):5d}  +{won} -{lost}  p {mcnemar(won, lost):.3f}"
        f"  pictures +{better} -{worse}"
    )
