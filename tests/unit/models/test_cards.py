"""Every hosted model's directory: read by the gateway, by the backend and by the model host, and true to itself."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tritonclient.grpc import model_config_pb2

from kefu_gateway.adapters.prompts import load_cards
from kefu_gateway.domain.card import SamplingExtras
from kefu_modelhost.card import all_cards, find_card
from kefu_modelhost.errors import SetupError
from kefu_modelhost.memory import FORMATS, cards_that_fit, gibibytes, table

ROOT = Path(__file__).resolve().parents[3]
MODELS = ROOT / "deploy/triton_models"
NAMES = sorted(path.name for path in MODELS.iterdir())
HUB = ["magma_8b", "minicpm_v_2_6", "qwen2_5_vl_7b", "qwen3_vl_4b"]
DOCUMENT = ROOT / "docs/models.md"


def raw(name: str) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((MODELS / name / "1/model.json").read_text(encoding="utf-8"))
    return card


def rendered(name: str, messages: list[dict[str, Any]]) -> str:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template = (MODELS / name / "1" / raw(name)["chat_template"]).read_text(encoding="utf-8")
    return environment.from_string(template).render(
        messages=messages, add_generation_prompt=True, language="zh"
    )


def test_the_gateway_reads_every_card() -> None:
    cards = load_cards(MODELS, [])
    assert sorted(cards) == NAMES
    assert set(HUB) < set(NAMES)
    for card in cards.values():
        assert card.preprocess.max_pixels > 0
        assert set(card.system_prompt) == {"zh", "en"}


@pytest.mark.parametrize("name", HUB)
def test_what_the_publisher_recommends_is_what_is_sent(name: str) -> None:
    card = load_cards(MODELS, [])[name]
    recommended = raw(name)["recommended"]
    extras = SamplingExtras()
    for key in ("top_k", "min_p", "repetition_penalty", "presence_penalty"):
        assert getattr(card.sampling_extras, key) == recommended.get(key, getattr(extras, key))
    assert card.temperature == pytest.approx(recommended["temperature"], abs=1e-5)
    assert card.top_p == recommended.get("top_p", 1.0)


def test_the_backend_reads_every_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its modules are found as in Triton: relative to the folder of model.py."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "deploy/triton_backends/vlm"), *sys.path])
    from engines.base import Card  # type: ignore[import-not-found, unused-ignore]
    from engines.registry import _ENGINES  # type: ignore[import-not-found, unused-ignore]

    for name in NAMES:
        card = Card.from_json(raw(name))
        assert card.name == name
        assert card.placeholder_id > 0
        assert {card.engine, *raw(name).get("engines", ())} <= set(_ENGINES)


@pytest.mark.parametrize("name", HUB)
def test_the_model_host_reads_what_it_fetches(name: str) -> None:
    card = find_card(name, (MODELS,))
    assert card.hub is not None
    assert re.fullmatch(r"[0-9a-f]{40}", card.hub.revision)
    assert card.engine in card.engines
    # Code of others runs only where its file is part of what is fetched.
    assert ("*.py" in card.hub.include) == card.hub.remote_code
    assert card.licence


@pytest.mark.parametrize("name", HUB)
def test_memory_on_the_card_follows_from_the_formula(name: str) -> None:
    card, told = find_card(name, (MODELS,)), raw(name)["memory"]
    assert card.memory is not None
    for form in FORMATS:
        tokens = 2 * card.context_tokens
        assert told["needs_gib"][form] == round(gibibytes(card.memory, form, tokens=tokens), 1)
        assert told["fits_on"][form] == cards_that_fit(card.memory, form, tokens=tokens)


def test_the_document_shows_what_the_cards_say() -> None:
    """`kefu-models list` prints this table: paste it into docs/models.md when a card changes."""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert table(all_cards((MODELS,))) in text
    for name in HUB:
        card = raw(name)
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` | "))
        weights, picture = card["weights"], card["picture"]
        assert f"`{weights['repo']}`" in row
        assert f"`{weights['revision'][:12]}`" in row
        assert card["licence"] in row
        assert ", ".join(card["engines"]) in row
        assert f"{card['context_tokens']:,}" in row
        assert f"| {card['max_pictures']} |" in row
        assert f"{picture['max_pixels']:,}" in row
        assert f"`{picture['tokens']['rule']}`" in row


@pytest.mark.parametrize("name", NAMES)
def test_every_configuration_has_the_contracts_tensors(name: str) -> None:
    """Triton reads it as text: a tensor that is missing or of another type shows only when the first request comes."""
    read: list[Any] = []
    for one in (name, "reader"):
        text = (MODELS / one / "config.pbtxt").read_text(encoding="utf-8")
        read.append(text_format.Parse(text, model_config_pb2.ModelConfig()))
    config, reference = read
    assert config.name == name
    assert config.backend == "vlm"
    assert config.model_transaction_policy.decoupled
    assert config.dynamic_batching.max_queue_delay_microseconds > 0
    assert not config.dynamic_batching.HasField("default_queue_policy")
    assert list(config.input) == list(reference.input)
    assert list(config.output) == list(reference.output)
    kind = config.instance_group[0].kind
    groups = model_config_pb2.ModelInstanceGroup
    assert kind == (groups.KIND_CPU if name == "reader" else groups.KIND_GPU)


CHAT = [
    {"role": "system", "content": [{"type": "text", "text": "你是客服。"}]},
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "破损？"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "是。"}]},
    {"role": "user", "content": [{"type": "text", "text": "怎么办？"}, {"type": "image"}]},
]
CHATML = (
    "<|im_start|>system\n你是客服。<|im_end|>\n<|im_start|>user\n{first}破损？<|im_end|>\n"
    "<|im_start|>assistant\n是。<|im_end|>\n<|im_start|>user\n怎么办？{second}<|im_end|>\n"
    "<|im_start|>assistant\n"
)
VISION = "<|vision_start|><|image_pad|><|vision_end|>"
EXPECTED = {
    "qwen2_5_vl_7b": CHATML.format(first=VISION, second=VISION),
    "qwen3_vl_4b": CHATML.format(first=VISION, second=VISION),
    "minicpm_v_2_6": CHATML.format(first="<image>\n", second="\n<image>"),
    "magma_8b": (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n你是客服。<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n<image_start><image><image_end>\n破损？<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n是。<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n怎么办？<image_start><image><image_end><|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
}


@pytest.mark.parametrize("name", HUB)
def test_the_template_writes_what_the_model_was_trained_on(name: str) -> None:
    text = rendered(name, CHAT)
    assert text == EXPECTED[name]
    picture = raw(name)["picture"]
    assert text.count(picture["placeholder"]) == 2
    assert text.count(picture.get("shown_as", picture["placeholder"])) == 2


@pytest.mark.parametrize("name", ["qwen2_5_vl_7b", "minicpm_v_2_6"])
def test_without_a_system_prompt_the_publishers_own_stands(name: str) -> None:
    text = rendered(name, [{"role": "user", "content": "hi"}])
    assert text.startswith("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n")


def test_a_card_that_is_none_is_named(tmp_path: Path) -> None:
    for content in ("", "[]", '{"name": "x"}', '{"name": "y", "tokenizer": "t"}'):
        folder = tmp_path / "x" / "1"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.json").write_text(content)
        with pytest.raises(SetupError, match=r"model\.json"):
            find_card("x", (tmp_path,))
