"""Quality: how often each fault is found, by its strength, and how often one is told of a picture that has none."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bench.pictures import faults as faults
from bench.pictures.cameras import photo_of_screen, photographed, through_jpeg
from bench.pictures.nested import letterboxed, nested, not_nested
from bench.pictures.truth import Pixels, pages, receipts
from kefu_preprocess.domain.bars.detect import find_crop
from kefu_preprocess.domain.quality import examine
from kefu_preprocess.domain.values import CropMode, Finding, QualityKind

# Which pictures, what is done to them, how strongly.
_BLUR: tuple[tuple[str, faults.Fault], ...] = (
    *((f"gaussian, sigma {sigma:g}", faults.gaussian(sigma)) for sigma in (1, 1.5, 2, 2.5, 3, 4)),
    *((f"defocus, radius {radius:g}", faults.defocus(radius)) for radius in (2, 3, 4, 6)),
    *((f"motion, {length} px", faults.motion(length)) for length in (5, 9, 13, 19)),
)
_DARK: tuple[tuple[str, faults.Fault], ...] = (
    *((f"gain {gain:g}", faults.low_light(gain)) for gain in (0.6, 0.45, 0.35, 0.28, 0.2, 0.12)),
    *((f"gain {gain:g}, lamp", faults.lamp_in_the_dark(gain)) for gain in (0.45, 0.28, 0.12)),
)
_GLARE = tuple((f"{share:.0%}", faults.glare(share)) for share in (0.01, 0.02, 0.05, 0.1, 0.2))
_SMALL = tuple((f"{side} px", faults.thumbnail(side)) for side in (480, 360, 300, 240, 160))
_CUT = tuple((side, faults.cut(side)) for side in ("left", "right", "top", "bottom"))
_PERIODS = (0.8, 1.0, 1.3, 1.7, 2.2, 3.0, 4.0)


@dataclass(frozen=True, slots=True)
class Base:
    """A good picture to make faults on."""

    name: str
    pixels: Pixels


def run(root: Path) -> None:
    """Prints a row for each strength of each fault, and every alarm on what is untouched."""
    screens, papers = list(good_screens(root)), list(good_papers(root))
    drawn = [
        Base(f"{each.name}, drawn camera", photographed(each.pixels, random.Random(number)))
        for number, each in enumerate([*_pages(root, ".png"), *_receipts(root)])
    ]
    photos = [*papers, *drawn]
    print(f"{len(screens)} screens, {len(papers)} papers, {len(drawn)} through a drawn camera")
    for title, kind, table, groups in (
        ("blur", QualityKind.BLUR, _BLUR, (screens, papers, drawn)),
        ("dark", QualityKind.DARK, _DARK, (screens, papers, drawn)),
        # Scans are white all over: a reflection on them would be none.
        ("glare", QualityKind.GLARE, _GLARE, ([], [], drawn)),
        ("too small", QualityKind.TOO_SMALL, _SMALL, (screens, papers, drawn)),
        ("cut off", QualityKind.CUT_OFF, _CUT, (_pages(root, ".png"), papers, drawn)),
    ):
        print(
            f"\n{title:24s} {'screens':>16s} {'papers':>16s} {'drawn camera':>16s}   (median value)"
        )
        for strength, fault in table:
            cells = [
                _cell(kind, (fault(each.pixels, random.Random(each.name)) for each in group))
                for group in groups
            ]
            print(f"  {strength:22s} " + " ".join(f"{cell:>16s}" for cell in cells), flush=True)
        cells = [_cell(kind, (each.pixels for each in group)) for group in groups]
        print(f"  {'untouched':22s} " + " ".join(f"{cell:>16s}" for cell in cells))
    _moire(screens)
    _nested(60)
    _untouched(root, photos)


def _cell(kind: QualityKind, pictures: Iterable[Pixels], *, inside: bool = False) -> str:
    """ "found of all (median value)"."""
    values, count = [], 0
    for pixels in pictures:
        count += 1
        found = [each for each in examine(pixels, "en").findings if of_kind(each, kind, inside)]
        values += [each.value for each in found[:1]]
    middle = f" ({float(np.median(values)):.3g})" if values else ""
    return f"{len(values)}/{count}{middle}" if count else ""


def of_kind(finding: Finding, kind: QualityKind, inside: bool = False) -> bool:
    """Whether it is of this kind; `inside` tells the two kinds of a screen of a screen apart."""
    return finding.kind is kind and ("inside" in finding.measure) == inside


def _moire(screens: list[Base]) -> None:
    kind = QualityKind.SCREEN_OF_SCREEN
    some = screens[::2]
    print("\nphoto of a screen        as photographed     half the size, JPEG 75")
    for period in _PERIODS:
        shots = [photo_of_screen(each.pixels, random.Random(each.name), period) for each in some]
        halves = [
            through_jpeg(
                np.asarray(cv2.resize(shot, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)), 75
            )
            for shot in shots
        ]
        print(
            f"  {period:3.1f} px a screen pixel {_cell(kind, shots):>16s} {_cell(kind, halves):>16s}",
            flush=True,
        )


def _nested(count: int) -> None:
    print("\na screenshot inside another picture")
    for title, draw in (
        ("a screenshot", nested),
        ("something else", not_nested),
        ("a screenshot", lambda rng: letterboxed(rng, screen=True)),
        ("something else", lambda rng: letterboxed(rng, screen=False)),
    ):
        cells: dict[str, list[Pixels]] = {}
        for seed in range(2 * count):
            picture = draw(random.Random(seed))
            cells.setdefault(picture.kind.split(", jpeg")[0], []).append(picture.pixels)
        for where, pictures in sorted(cells.items()):
            cell = _cell(QualityKind.SCREEN_OF_SCREEN, pictures, inside=True)
            print(f"  {title:16s} {where:28s} {cell}", flush=True)


def _untouched(root: Path, photos: list[Base]) -> None:
    print("\nfindings on untouched pictures")
    everything = [*_screenshots(root, everything=True), *photos, *_pages(root, ".png")]
    total = 0
    for each in everything:
        for finding in examine(each.pixels, "en").findings:
            total += 1
            print(f"  {finding.kind:18s} {finding.value:8.3g} {finding.severity:.2f} {each.name}")
    print(f"  {total} findings on {len(everything)} pictures")


def good_screens(root: Path) -> Iterator[Base]:
    """Five drawn pages, and real phone screenshots that are large enough to be read."""
    yield from _pages(root, ".png")
    yield from _screenshots(root, everything=False)


def good_papers(root: Path) -> Iterator[Base]:
    """Receipts and tickets as they are, and the five pages photographed."""
    yield from _receipts(root)
    yield from _pages(root, "_photo.jpg")


def _receipts(root: Path) -> Iterator[Base]:
    for each in receipts(root / "receipts"):
        pixels = each.pixels()
        # Strips of a single line are no sheets of paper.
        if min(pixels.shape[:2]) >= 320:
            yield Base(each.name, pixels)


def _pages(root: Path, suffix: str) -> list[Base]:
    return [Base(each.name, without_bars(each.pixels())) for each in pages(root / "pages", suffix)]


def _screenshots(root: Path, *, everything: bool) -> Iterator[Base]:
    folder = root / "screenshots"
    for line in (folder / "labels.jsonl").read_text(encoding="utf-8").splitlines():
        label = json.loads(line)
        phone = label["has_status_bar"] and not label["framed"]
        if not everything and not (phone and min(label["width"], label["height"]) >= 700):
            continue
        picture = cv2.imread(str(folder / label["file"]), cv2.IMREAD_COLOR)
        assert picture is not None, label["file"]
        pixels = np.ascontiguousarray(picture[:, :, ::-1]).astype(np.uint8, copy=False)
        yield Base(label["file"], without_bars(pixels))


def without_bars(pixels: Pixels) -> Pixels:
    """As the pipeline hands it to the measures: status and gesture bars cut."""
    crop = find_crop(pixels, CropMode.AUTO)
    rows, columns = pixels.shape[:2]
    return np.ascontiguousarray(
        pixels[crop.top : rows - crop.bottom, crop.left : columns - crop.right]
    )
