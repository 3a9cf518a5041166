"""Elements: how many of the known ones on drawn screens are found, as what, and in how many milliseconds."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bench.pictures.layouts import Layout, draw_layout
from bench.pictures.parts import Part
from bench.pictures.speed import fastest
from bench.pictures.truth import pages
from kefu_preprocess.domain.elements import find_elements
from kefu_preprocess.domain.values import Box, Element

# Intersection over union from which a box counts as the same.
_SAME = 0.5


@dataclass(slots=True)
class Score:
    """`found` and `known` by what a part is; `kinds` by (right kinds, kind found) of the found ones."""

    known: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)

    def add(self, layout: Layout, elements: tuple[Element, ...]) -> None:
        """One screen's."""
        matched = match(layout.parts, elements)
        used = {element.number for _, element in matched}
        seen: set[int] = set()
        for index, element in matched:
            part = layout.parts[index]
            seen |= {index, *part.covers}
            for each in part.covers:
                self.right[layout.parts[each].what] += element.kind in part.kinds
            if not part.optional:
                self.kinds["/".join(sorted(part.kinds)), element.kind] += 1
                self.right[part.what] += element.kind in part.kinds
        for index, part in enumerate(layout.parts):
            if not part.optional:
                self.known[part.what] += 1
                self.found[part.what] += index in seen
        for element in elements:
            self.told[element.kind] += 1
            self.wrong[element.kind] += element.number not in used


def match(parts: tuple[Part, ...], elements: tuple[Element, ...]) -> list[tuple[int, Element]]:
    """Pairs of a part's index and the element that is it: the best overlap first, required parts before others."""
    pairs = sorted(
        (
            (
                part.optional and not part.covers,
                -overlap(part.box, element.box),
                index,
                element.number,
            )
            for index, part in enumerate(parts)
            for element in elements
            if overlap(part.box, element.box) >= _SAME
        ),
    )
    by_number = {each.number: each for each in elements}
    taken_parts: set[int] = set()
    taken: set[int] = set()
    matched = []
    for _, _, index, number in pairs:
        if index in taken_parts or number in taken:
            continue
        taken_parts |= {index, *parts[index].covers}
        taken.add(number)
        matched.append((index, by_number[number]))
    return matched


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (_area(one) + _area(other) - width * height)


def _area(box: Box) -> int:
    return (box.right - box.left) * (box.bottom - box.top)


def run(root: Path, drawn: int) -> None:
    """Prints recall by what there is, precision by kind, and milliseconds for the elements of a 1080×2400 shot."""
    score = Score()
    for seed in range(drawn):
        layout = draw_layout(random.Random(seed))
        score.add(layout, find_elements(layout.pixels))
    report(score)
    for page in pages(root / "pages"):
        pixels = page.pixels()
        found = find_elements(pixels)
        took = fastest(lambda pixels=pixels: find_elements(pixels))  # type: ignore[misc]
        print(f"  {page.name:14s} {took:5.1f} ms, {len(found)} elements")


def report(score: Score) -> None:
    """The tables of a score."""
    print(f"  {'what':18s} known  found         right kind")
    for what, known in score.known.most_common():
        found = score.found[what]
        print(f"  {what:18s} {known:5d}  {found:5d} {found / known:6.1%}  {score.right[what]:5d}")
    known, found = score.known.total(), score.found.total()
    print(f"  {'all':18s} {known:5d}  {found:5d} {found / known:6.1%}  {score.right.total():5d}")
    for kind, told in score.told.most_common():
        good = told - score.wrong[kind]
        print(f"  told as {kind:10s} {told:5d}  there {good:5d} {good / told:6.1%}")
    told, wrong = score.told.total(), score.wrong.total()
    print(f"  told in all        {told:5d}  there {told - wrong:5d} {1 - wrong / told:6.1%}")
    confused = {
        pair: count for pair, count in score.kinds.items() if pair[1] not in pair[0].split("/")
    }
    print(
        "  confused: "
        + ", ".join(
            f"{one} for {other} {count}"
            for (other, one), count in sorted(confused.items(), key=lambda each: -each[1])
        )
    )
