"""Magma's modules in the step loop's terms, with a double that obeys their published interface: its code is no package.

By hand the same was held against microsoft/Magma's own code (docs/models.md)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from engines.base import Card
from engines.transformers.cache import RoomyCache
from engines.transformers.loading import LoadError
from engines.transformers.magma import Magma, MagmaModel
from PIL import Image
from transformers import LlamaConfig, LlamaForCausalLM

PLACE, SIDE, STRIDE = 9, 64, 32


class Tower:
    """Features that say where they are from: [crops, 3, side / stride, side / stride]."""

    def extract_features_convnext(self, crops: torch.Tensor, gradient_checkpointing: bool) -> Any:
        assert not gradient_checkpointing
        return {"dense": torch.nn.functional.avg_pool2d(crops, STRIDE)}


class Projector(torch.nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.proj = torch.nn.Linear(3, size)
        self.row_seperator = torch.nn.Parameter(torch.full((1, 1, size), 0.25))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.proj(x)  # type: ignore[no-any-return]


class Inner(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        text = LlamaConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            vocab_size=20,
        )
        self.language_model = LlamaForCausalLM(text)
        self.multi_modal_projector = Projector(32)
        self.vision_tower = Tower()
        self.generation_config = None
        self.config = SimpleNamespace(
            image_token_index=PLACE,
            vision_config={"vision_feature_layer": "dense", "img_anyres_strategy": "crop"},
        )

    def get_input_embeddings(self) -> Any:
        return self.language_model.get_input_embeddings()


class Processor:
    """One crop for the first picture, two beside each other for the second."""

    def preprocess(self, pictures: list[Image.Image], return_tensors: str) -> Any:
        torch.manual_seed(1)
        return {
            "pixel_values": torch.randn(3, 3, SIDE, SIDE),
            "image_sizes": [(1, 1), (1, 2)],
        }


def family(inner: Inner) -> Magma:
    raw = {
        "name": "tiny",
        "engine": "transformers",
        "context_tokens": 64,
        "picture": {"placeholder_id": PLACE, "tokens": {"side": SIDE, "stride": STRIDE}},
    }
    loaded: Any = SimpleNamespace(config=inner.config, processor=Processor())
    return Magma(loaded, Card.from_json(raw))


@torch.no_grad()
def test_features_and_separators_stand_where_the_published_code_puts_them() -> None:
    torch.manual_seed(0)
    inner = Inner().eval()
    model = MagmaModel(inner).eval()
    prompt = family(inner).prepare((1, PLACE, 2, PLACE, 3), [Image.new("RGB", (8, 8))] * 2)
    # 2 × (2 + 1) and 2 × (4 + 1) tokens.
    assert prompt.spans == ((1, 2, 3), (8, 2, 5))
    assert len(prompt.ids) == 3 + 6 + 10

    crops = prompt.features["pixel_values"]
    maps = inner.multi_modal_projector(
        torch.nn.functional.avg_pool2d(crops, STRIDE).permute(0, 2, 3, 1)
    )
    separator = inner.multi_modal_projector.row_seperator[0]
    rows: list[torch.Tensor] = []
    for row in (0, 1):
        rows += [maps[0, row], separator]
    for row in (0, 1):
        rows += [maps[1, row], maps[2, row], separator]
    features = torch.cat(rows)
    words = inner.get_input_embeddings()(torch.tensor([1, 2, 3]))
    whole = torch.cat([words[:1], features[:6], words[1:2], features[6:], words[2:]]).unsqueeze(0)
    expected = inner.language_model(inputs_embeds=whole).logits[:, -1]

    ids = torch.tensor([prompt.ids])
    output = model(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        position_ids=prompt.positions.unsqueeze(1),
        past_key_values=RoomyCache(),
        use_cache=True,
        logits_to_keep=1,
        **prompt.features,
    )
    torch.testing.assert_close(output.logits[:, -1], expected, rtol=1e-4, atol=1e-5)


def test_a_placeholder_of_another_model_is_refused() -> None:
    inner = Inner()
    inner.config.image_token_index = 7
    with pytest.raises(LoadError, match=r"config\.json says 7"):
        family(inner)
