"""Magma (microsoft/Magma-8B): its own modules, fetched with the weights, in the terms of this engine's step loop.

    model = load_magma(weights, dtype=torch.bfloat16, attention="sdpa")
    model(input_ids=ids, position_ids=positions, past_key_values=cache, pixel_values=crops, image_sizes=grids, …)

Its published `forward` takes one placeholder a picture and makes the prompt longer inside, which no cache of a batch
whose rows come and go can follow.  Here the placeholder already stands once for each token of its picture
(`Magma.prepare`), and the same features go to the same places: of each crop, rows of the grid put together, a separator
behind every row (modeling_magma.py, strategy "crop"; arXiv:2502.13130).

Its vision tower asks a hub for the CLIP model that it once began from, only to learn its shape; open_clip has that.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from PIL import Image

from engines.base import Card, ContractError
from engines.transformers.families import Prompt
from engines.transformers.loading import Loaded, LoadError


class MagmaModel(torch.nn.Module):  # type: ignore[misc]
    """What the step loop calls; `inner` is the published model."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner
        self.config = inner.config
        self.generation_config = inner.generation_config
        self._layer = _vision(inner.config, "vision_feature_layer")
        self._placeholder = _placeholder(inner.config)

    @property
    def dtype(self) -> torch.dtype:
        found: torch.dtype = self.inner.dtype
        return found

    def forward(
        self,
        *,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        past_key_values: Any,
        use_cache: bool,
        logits_to_keep: int,
        pixel_values: torch.Tensor | None = None,
        image_sizes: torch.Tensor | None = None,
    ) -> Any:
        """`position_ids` [1, rows, columns]; `pixel_values` [crops, 3, side, side] of all pictures, row after row;
        `image_sizes` [pictures, 2], rows and columns of crops."""
        inner = self.inner
        places = input_ids == self._placeholder
        # The placeholder has no row of its own in the matrix of words.
        embeddings = inner.get_input_embeddings()(input_ids.masked_fill(places, 0))
        if pixel_values is not None and image_sizes is not None:
            features = self._features(pixel_values.to(embeddings.dtype), image_sizes)
            embeddings = embeddings.masked_scatter(
                places.unsqueeze(-1), features.to(embeddings.dtype)
            )
        output = inner.language_model.model(
            inputs_embeds=embeddings,
            attention_mask=attention_mask,
            position_ids=position_ids[0],
            past_key_values=past_key_values,
            use_cache=use_cache,
        )
        hidden = output.last_hidden_state[:, -logits_to_keep:]
        return SimpleNamespace(logits=inner.language_model.lm_head(hidden))

    def _features(self, crops: torch.Tensor, grids: torch.Tensor) -> torch.Tensor:
        """[tokens of all pictures, hidden size]."""
        # Its `forward` would keep what only training needs.
        seen = self.inner.vision_tower.extract_features_convnext(
            crops, gradient_checkpointing=False
        )
        projector = self.inner.multi_modal_projector
        maps = projector(seen[self._layer].permute(0, 2, 3, 1))
        found, first = [], 0
        for rows, columns in grids.tolist():
            one = maps[first : first + rows * columns]
            first += rows * columns
            height, width, size = one.shape[1:]
            one = one.view(rows, columns, height, width, size).permute(0, 2, 1, 3, 4)
            one = one.reshape(rows * height, columns * width, size)
            separators = projector.row_seperator.to(one.dtype).expand(rows * height, 1, size)
            found.append(torch.cat((one, separators), dim=1).flatten(0, 1))
        return torch.cat(found)


class Magma:
    """The family: crops and their tokens; see `families.Family`."""

    def __init__(self, loaded: Loaded, card: Card) -> None:
        told = _placeholder(loaded.config)
        if told != card.placeholder_id:
            raise LoadError(
                f"the card of {card.name} says that a picture's placeholder is {card.placeholder_id}, the weights'"
                f" config.json says {told}: one of them belongs to another model"
            )
        if _vision(loaded.config, "img_anyres_strategy") != "crop":
            raise LoadError(f"{card.name}: only Magma's strategy of crops is known here")
        rule: Mapping[str, Any] = card.raw["picture"]["tokens"]
        self._processor = loaded.processor
        self._features = int(rule["side"]) // int(rule["stride"])
        self._placeholder = card.placeholder_id
        self.unspoken = frozenset({card.placeholder_id})

    def prepare(self, ids: Sequence[int], pictures: Sequence[Image.Image]) -> Prompt:
        features: dict[str, torch.Tensor] = {}
        grids: list[list[int]] = []
        if pictures:
            try:
                made = self._processor.preprocess(list(pictures), return_tensors="pt")
            except ValueError as error:
                raise ContractError(
                    "picture_undecodable", "a picture cannot be cut into crops"
                ) from error
            sizes = torch.as_tensor(made["image_sizes"]).reshape(-1, 2)
            features = {"pixel_values": made["pixel_values"], "image_sizes": sizes}
            grids = sizes.tolist()
        found: list[int] = []
        spans: list[tuple[int, int, int]] = []
        left = iter(grids)
        for token in ids:
            if token != self._placeholder:
                found.append(token)
                continue
            rows, columns = next(left)
            # One column more than there are features: the separator.
            height, width = rows * self._features, columns * self._features + 1
            spans.append((len(found), height, width))
            found += [token] * (height * width)
        positions = torch.arange(len(found)).unsqueeze(0)
        return Prompt(tuple(found), positions, len(found), features, tuple(spans))


def load_magma(weights: Path, *, dtype: torch.dtype, attention: str) -> MagmaModel:
    """Runs the code in the folder of weights: the caller has made sure that it is the pinned one.  LoadError for a
    package that its code needs."""
    from transformers import dynamic_module_utils as dynamic

    # It asks for whatever the files import anywhere, and one function of theirs, for training alone, wants deepspeed.
    # And of a local folder it copies only what the first file imports, not what those import in turn.
    checked, dynamic.check_imports = (
        dynamic.check_imports,
        lambda file: [Path(needed).stem for needed in dynamic.get_relative_import_files(file)],
    )
    try:
        made = dynamic.get_class_from_dynamic_module(
            "modeling_magma.MagmaForCausalLM", str(weights)
        )
    except ImportError as error:
        raise LoadError(
            f"Magma's own code needs a package that is not here ({error}): requirements/magma.txt lists what it asks"
            " for, and engine_settings.environment of its card names that environment"
        ) from error
    finally:
        dynamic.check_imports = checked
    package = made.__module__.rpartition(".")[0]
    tower = sys.modules.get(f"{package}.image_tower_magma")
    if tower is not None:
        vars(tower)["create_model_and_transforms"] = _shape_alone
    # The wrapper has no attention of its own, and is asked for a kind before it has one: the language model's is set
    # below.
    inner = made.from_pretrained(str(weights), dtype=dtype, attn_implementation="eager")
    inner.language_model.config._attn_implementation = attention
    inner.language_model.model.config._attn_implementation = attention
    return MagmaModel(inner)


def _vision(config: Any, name: str) -> Any:
    """Its first versions keep what concerns pictures in a dict, later ones in a configuration."""
    vision = config.vision_config
    return vision[name] if isinstance(vision, Mapping) else getattr(vision, name)


def _placeholder(config: Any) -> int:
    found = getattr(config, "image_token_index", None)
    return int(config.image_token_id if found is None else found)


def _shape_alone(name: str, **_: Any) -> Any:
    """What open_clip would build for `hf-hub:laion/CLIP-convnext_xxlarge-…`, without its weights and without a hub."""
    open_clip = import_module("open_clip")
    config = open_clip.get_model_config(name.rpartition("CLIP-")[2].partition("-")[0])
    if config is None:
        raise LoadError(f"Magma's vision tower {name!r} is not one that open_clip knows")
    build = import_module("open_clip.model")._build_vision_tower
    return SimpleNamespace(visual=build(config["embed_dim"], config["vision_cfg"]))
