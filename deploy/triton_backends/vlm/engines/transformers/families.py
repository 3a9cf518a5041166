"""What differs between families of models: how pictures become tensors, tokens and positions.

    family = family_of(loaded, card)
    prompt = family.prepare(input_ids, pictures)

A new family is a class here and a line in `_FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from PIL import Image

from engines.base import Card, ContractError
from engines.transformers.loading import Loaded, LoadError


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as the model takes it.

    ids:       token ids, each placeholder replaced by as many as its picture takes
    positions: [axes, len(ids)]; `after` is the position of the first token of the answer
    features:  inputs of the picture encoder, first dimension to be concatenated over requests; empty without pictures
    spans:     for each picture where its tokens are in `ids`, and the rows and columns of the grid that they form
    """

    ids: tuple[int, ...]
    positions: torch.Tensor
    after: int
    features: dict[str, torch.Tensor]
    spans: tuple[tuple[int, int, int], ...]

    @property
    def visual(self) -> int:
        """Tokens of pictures."""
        return sum(rows * columns for _, rows, columns in self.spans)


class Family(Protocol):
    """`unspoken` are ids that the model must never write: they would be taken for a picture."""

    unspoken: frozenset[int]

    def prepare(self, ids: Sequence[int], pictures: Sequence[Image.Image]) -> Prompt:
        """ContractError for a picture that the model cannot take.  Called from several threads."""


class QwenVl:
    """Qwen2-VL, Qwen2.5-VL and Qwen3-VL.

    A token of a picture has three positions (time, row, column), a token of text three equal ones; after a picture text
    goes on from the largest (M-RoPE, arXiv:2409.12191, section 2.1).
    """

    def __init__(self, loaded: Loaded, card: Card) -> None:
        config = loaded.config
        if config.image_token_id != card.placeholder_id:
            raise LoadError(
                f"the card of {card.name} says that a picture's placeholder is {card.placeholder_id}, the weights'"
                f" config.json says {config.image_token_id}: one of them belongs to another model"
            )
        self._processor = loaded.processor
        self._merge = int(config.vision_config.spatial_merge_size)
        self._placeholder = card.placeholder_id
        self.unspoken = frozenset(
            i
            for name in ("image_token_id", "video_token_id", "vision_start_token_id")
            if (i := getattr(config, name, None)) is not None
        )

    def prepare(self, ids: Sequence[int], pictures: Sequence[Image.Image]) -> Prompt:
        features: dict[str, torch.Tensor] = {}
        grids: list[tuple[int, int]] = []
        if pictures:
            try:
                features = dict(self._processor(images=list(pictures), return_tensors="pt"))
            except ValueError as error:
                raise ContractError(
                    "picture_undecodable", "a picture is more than 200 times as long as it is wide"
                ) from error
            grids = [
                (int(rows) // self._merge, int(columns) // self._merge)
                for _, rows, columns in features["image_grid_thw"].tolist()
            ]
        return self._lay_out(ids, grids, features)

    def _lay_out(
        self,
        ids: Sequence[int],
        grids: Sequence[tuple[int, int]],
        features: dict[str, torch.Tensor],
    ) -> Prompt:
        found: list[int] = []
        parts: list[torch.Tensor] = []
        spans: list[tuple[int, int, int]] = []
        position, text_from, left = 0, 0, iter(grids)
        for index, token in enumerate(ids):
            if token != self._placeholder:
                continue
            position = _text(parts, position, index - text_from)
            found += ids[text_from:index]
            text_from = index + 1
            rows, columns = next(left)
            spans.append((len(found), rows, columns))
            found += [token] * (rows * columns)
            parts.append(
                torch.stack(
                    [
                        torch.full((rows * columns,), position),
                        torch.arange(rows).repeat_interleave(columns) + position,
                        torch.arange(columns).repeat(rows) + position,
                    ]
                )
            )
            position += max(rows, columns)
        position = _text(parts, position, len(ids) - text_from)
        found += ids[text_from:]
        return Prompt(tuple(found), torch.cat(parts, dim=1), position, features, tuple(spans))


def _text(parts: list[torch.Tensor], position: int, count: int) -> int:
    if count:
        parts.append(torch.arange(position, position + count).expand(3, count))
    return position + count


_FAMILIES = {"qwen2_vl": QwenVl, "qwen2_5_vl": QwenVl, "qwen3_vl": QwenVl}


def family_of(loaded: Loaded, card: Card) -> Family:
    """LoadError for an architecture that nobody has taught this engine."""
    kind = loaded.config.model_type
    if kind == "magma":
        # What it needs is in an environment of its own.
        from engines.transformers.magma import Magma

        return Magma(loaded, card)
    if kind not in _FAMILIES:
        raise LoadError(
            f"the engine transformers does not know models of type {kind!r}; it knows {', '.join(_FAMILIES)}, magma"
        )
    return _FAMILIES[kind](loaded, card)
