"""How many tokens a prepared picture takes in a model's prompt: one rule a family, each as its engine counts.

rule = parse_rule({"rule": "patches", "patch": 28, "min_pixels": 3136, "max_pixels": 1003520})
rule.tokens(Size(1080, 2400))

What each rule counts takes the place of the picture's one placeholder token. `tests/unit/models` holds the rules
against the engines' own processors; docs/models.md says which of them were real code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from kefu_gateway.domain.answer import Size


class VisualTokenRule(Protocol):
    """One family's way of counting."""

    def tokens(self, size: Size) -> int:
        """Tokens of a picture of `size` pixels, as the engine receives it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded:
    """At most `max_tokens`, known only after the engine has read the picture (the reader)."""

    max_tokens: int

    def tokens(self, size: Size) -> int:
        return self.max_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches:
    """The Qwen-VL family: sides rounded to whole patches within a pixel budget, one token a patch.

    `patch` is pixels a side of what becomes one token: patch_size × spatial_merge_size (Qwen2.5-VL 14 × 2, Qwen3-VL
    16 × 2).  `min_pixels`, `max_pixels`: the processor's budget, 0 for none.  `extra`: marks that the engine adds.
    The rounding is `smart_resize` of transformers' Qwen2-VL image processor (arXiv:2409.12191, section 2.1).
    """

    patch: int
    min_pixels: int = 0
    max_pixels: int = 0
    extra: int = 0

    def tokens(self, size: Size) -> int:
        patch = self.patch
        # Python rounds halves to even, and so does the processor: it is the same function.
        rows, columns = round(size.height / patch), round(size.width / patch)
        area = rows * columns * patch * patch
        if self.max_pixels and area > self.max_pixels:
            shrink = math.sqrt(size.width * size.height / self.max_pixels)
            rows = max(1, math.floor(size.height / shrink / patch))
            columns = max(1, math.floor(size.width / shrink / patch))
        elif area < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (size.width * size.height))
            rows = math.ceil(size.height * grow / patch)
            columns = math.ceil(size.width * grow / patch)
        return max(1, rows) * max(1, columns) + self.extra


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """MiniCPM-V 2.6: the whole picture once, and a grid of slices of it where it is larger than one.

    Each of them becomes `queries` tokens between two marks; rows of the grid are separated by a line break, and the
    whole begins with the picture's number between two marks where `numbered` (three tokens: numbers have one digit,
    since a prompt has ten pictures at most).  arXiv:2408.01800, section 3.2; MiniCPMVImageProcessor of openbmb.
    """

    most: int = 9
    side: int = 448
    queries: int = 64
    numbered: bool = True

    def tokens(self, size: Size) -> int:
        one = self.queries + 2
        whole = one + (3 if self.numbered else 0)
        grid = self._grid(size)
        if grid is None:
            return whole
        columns, rows = grid
        return whole + columns * rows * one + rows - 1

    def _grid(self, size: Size) -> tuple[int, int] | None:
        """(columns, rows) of the slices; None where the picture is not sliced."""
        wanted = min(math.ceil(size.width * size.height / (self.side * self.side)), self.most)
        if wanted <= 1:
            return None
        proportion = math.log(size.width / size.height)
        best, least = (1, 1), math.inf
        for count in (wanted - 1, wanted, wanted + 1):
            if count == 1 or count > self.most:
                continue
            for columns in range(1, count + 1):
                rows, rest = divmod(count, columns)
                if rest:
                    continue
                # Strictly less: of equal grids the first is taken, as in the processor.
                if (error := abs(proportion - math.log(columns / rows))) < least:
                    best, least = (columns, rows), error
        return best


@dataclass(frozen=True, slots=True, kw_only=True)
class Crops:
    """Magma: the picture stretched over the best grid of at most `most` crops of `side` pixels.

    The vision tower (ConvNeXt) makes one feature of `stride` × `stride` pixels; a separator ends each row of features.
    `process_anyres_image` and `MagmaForCausalLM.forward` of microsoft/Magma, arXiv:2502.13130.
    """

    most: int = 4
    side: int = 512
    stride: int = 32

    def tokens(self, size: Size) -> int:
        columns, rows = self._grid(size)
        features = self.side // self.stride
        return rows * features * (columns * features + 1)

    def _grid(self, size: Size) -> tuple[int, int]:
        best, most, least_waste = (1, 1), 0, math.inf
        area = size.width * size.height
        for columns in range(1, self.most + 1):
            for rows in range(1, self.most // columns + 1):
                width, height = columns * self.side, rows * self.side
                scale = min(width / size.width, height / size.height)
                effective = min(int(size.width * scale) * int(size.height * scale), area)
                waste = width * height - effective
                if effective > most or (effective == most and waste < least_waste):
                    best, most, least_waste = (columns, rows), effective, waste
        return best


def _bounded(raw: Mapping[str, Any]) -> VisualTokenRule:
    return Bounded(max_tokens=int(raw["max_tokens"]))


def _patches(raw: Mapping[str, Any]) -> VisualTokenRule:
    return Patches(
        patch=int(raw["patch"]),
        min_pixels=int(raw.get("min_pixels", 0)),
        max_pixels=int(raw.get("max_pixels", 0)),
        extra=int(raw.get("extra", 0)),
    )


def _slices(raw: Mapping[str, Any]) -> VisualTokenRule:
    return Slices(
        most=int(raw["most"]),
        side=int(raw["side"]),
        queries=int(raw["queries"]),
        numbered=bool(raw.get("numbered", True)),
    )


def _crops(raw: Mapping[str, Any]) -> VisualTokenRule:
    return Crops(most=int(raw["most"]), side=int(raw["side"]), stride=int(raw["stride"]))


_RULES: Mapping[str, Callable[[Mapping[str, Any]], VisualTokenRule]] = {
    "bounded": _bounded,
    "patches": _patches,
    "slices": _slices,
    "crops": _crops,
}


def parse_rule(raw: Mapping[str, Any]) -> VisualTokenRule:
    """The rule of a card's `picture.tokens`.  LookupError for an unknown rule, KeyError for a missing number."""
    make = _RULES.get(raw["rule"])
    if make is None:
        raise LookupError(raw["rule"])
    return make(raw)
