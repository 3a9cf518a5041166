"""Bars: what is cut off real screenshots and off drawn ones, against the usual script's fixed seven per cent."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.pictures.across import not_across, phone_across
from bench.pictures.lookalikes import lookalike
from bench.pictures.makers import maker_screen
from bench.pictures.nested import nested, not_nested
from bench.pictures.screens import phone_screen
from kefu_preprocess.domain.bars.detect import find_crop
from kefu_preprocess.domain.quality import examine
from kefu_preprocess.domain.values import CropMode, QualityKind

_USUAL = 0.07


def run(folder: Path, *, drawn: int) -> None:
    """`folder` holds labels.jsonl; `drawn` is how many drawn screens, and how many lookalikes, are tried beside."""
    labels = [
        json.loads(line)
        for line in (folder / "labels.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    _real(folder, labels)
    _drawn(drawn)
    _across(drawn // 2)
    _nested(folder, labels, drawn // 5)


def verdict(cut: int, icons_bottom: int, content_top: int) -> str:
    """What a cut of the top does to a screen with a bar."""
    if cut == 0:
        return "missed"
    if cut > content_top:
        return "cuts content"
    return "leaves icons" if cut < icons_bottom else "harmless"


def _real(folder: Path, labels: list[dict[str, Any]]) -> None:
    with_bar: Counter[str] = Counter()
    usual: Counter[str] = Counter()
    by_source: dict[str, Counter[str]] = {}
    touched: list[str] = []
    surest: list[tuple[float, str]] = []
    milliseconds: list[float] = []
    off_by: list[int] = []
    for label in labels:
        picture = cv2.imread(str(folder / label["file"]), cv2.IMREAD_COLOR)
        assert picture is not None, label["file"]
        pixels = np.ascontiguousarray(picture[:, :, ::-1]).astype(np.uint8, copy=False)
        start = time.perf_counter()
        crop = find_crop(pixels, CropMode.AUTO)
        milliseconds.append((time.perf_counter() - start) * 1000)
        source = by_source.setdefault(label["repo"], Counter())
        if label["has_status_bar"]:
            range_ = (label["icons_bottom_px"], label["content_top_px"])
            said = verdict(crop.top, *range_)
            with_bar[said] += 1
            source[said] += 1
            usual[verdict(int(_USUAL * label["height"]), *range_)] += 1
            if said == "harmless":
                off_by.append(abs(crop.top - label["status_bar_px"]))
            else:
                print(f"  {said}: {label['file']} ({crop.kind}, {crop.confidence:.2f})")
        else:
            hurt = crop.top > label["content_top_px"] or crop.bottom > 0
            source["touched" if crop.top or crop.bottom else "left whole"] += 1
            if hurt or crop.top:
                touched.append(label["file"])
            if crop.kind == "unsure":
                surest.append((1 - crop.confidence, label["file"]))
    bars, others = sum(with_bar.values()), len(labels) - sum(with_bar.values())
    print(f"real, {bars} with a bar: {dict(with_bar)}; usual script (top 7 %): {dict(usual)}")
    print(
        f"  harmless {with_bar['harmless'] / bars:.1%}; median distance from the labelled end {np.median(off_by):g} px"
    )
    print(f"real, {others} without: {len(touched)} touched {touched}; usual script: {others}")
    nearest = [
        (round(confidence, 2), file) for confidence, file in sorted(surest, reverse=True)[:3]
    ]
    print(f"  nearest to being touched: {nearest} (cut from 0.70)")
    print(f"  milliseconds: mean {np.mean(milliseconds):.1f}, most {max(milliseconds):.1f}")
    print("by source:")
    for name, counts in sorted(by_source.items()):
        print(f"  {name:38s} {dict(counts)}")


def _drawn(count: int) -> None:
    for what, draw in (("designs", phone_screen), ("makers' designs", maker_screen)):
        found: Counter[str] = Counter()
        for seed in range(count):
            screen = draw(random.Random(seed))
            crop = find_crop(screen.pixels, CropMode.AUTO)
            found[verdict(crop.top, screen.icons_bottom, screen.content_top)] += 1
        print(f"drawn, {count} with a bar, {what}: {dict(found)}")
    touched: Counter[str] = Counter()
    for seed in range(count):
        screen = lookalike(random.Random(seed))
        crop = find_crop(screen.pixels, CropMode.AUTO)
        if crop.top or crop.bottom:
            touched[screen.kind] += 1
    print(f"drawn, {count} lookalikes without: {sum(touched.values())} touched {dict(touched)}")


def _across(count: int) -> None:
    """Phones held across: sides and bottom."""
    found: Counter[str] = Counter()
    touched: Counter[str] = Counter()
    for seed in range(count):
        screen = phone_across(random.Random(seed))
        crop = find_crop(screen.pixels, CropMode.AUTO)
        pairs = (
            (crop.left, screen.left),
            (crop.right, screen.right),
            (crop.bottom, screen.bottom),
        )
        said = "missed"
        if any(cut > most for cut, most in pairs):
            said = "cuts content"
        elif all((cut > 0) == (most > 0) for cut, most in pairs):
            said = "harmless"
        elif any(cut for cut, _ in pairs):
            said = "one of two"
        found[said] += 1
        other = not_across(random.Random(seed))
        crop = find_crop(other.pixels, CropMode.AUTO)
        if crop.top or crop.bottom or crop.left or crop.right:
            touched[other.kind] += 1
    print(f"drawn, {count} phones held across: {dict(found)}")
    print(f"drawn, {count} as wide without: {sum(touched.values())} touched {dict(touched)}")


def _nested(folder: Path, labels: list[dict[str, Any]], count: int) -> None:
    """Screenshots inside pictures: drawn ones, and alarms on the real pictures."""
    drawn = sum(_holds_screen(nested(random.Random(seed)).pixels) for seed in range(count))
    false = sum(_holds_screen(not_nested(random.Random(seed)).pixels) for seed in range(count))
    print(f"screenshot inside, drawn: {drawn} of {count} found; {false} of {count} others alarmed")
    alarms = []
    for label in labels:
        picture = cv2.imread(str(folder / label["file"]), cv2.IMREAD_COLOR)
        assert picture is not None, label["file"]
        if _holds_screen(np.ascontiguousarray(picture[:, :, ::-1]).astype(np.uint8, copy=False)):
            alarms.append(f"{label['file']} ({label['kind']})")
    print(f"screenshot inside, of {len(labels)} real pictures: {alarms}")


def _holds_screen(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bool:
    return any(
        each.kind is QualityKind.SCREEN_OF_SCREEN and "inside" in each.measure
        for each in examine(pixels, "en").findings
    )
