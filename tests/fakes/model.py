"""A model directory small enough for a test: a card, a template, and a tokenizer of bytes made on the spot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

PLACEHOLDER = "<|image|>"
END = "<|end|>"
TEMPLATE = (
    "{% for message in messages %}{{ message.role }}:"
    "{% for part in message.content %}"
    "{% if part.type == 'image' %}<|image|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}<|end|>{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)


def byte_tokenizer() -> Tokenizer:
    """One token a byte, in the order of the byte-level alphabet, and the two specials behind."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(PLACEHOLDER), AddedToken(END)])
    return tokenizer


def card(**changes: Any) -> dict[str, Any]:
    """The card of the model "tiny"; `changes` replace its keys."""
    return {
        "name": "tiny",
        "engine": "fake",
        "description": "a model for tests",
        "licence": "Apache-2.0",
        "sees": ["text"],
        "tokenizer": "tokenizer.json",
        "chat_template": "chat_template.jinja",
        "context_tokens": 512,
        "max_pictures": 4,
        "picture": {
            "placeholder": PLACEHOLDER,
            "placeholder_id": 256,
            "tokens": {"rule": "patches", "patch": 28, "extra": 2},
            "max_pixels": 1_000_000,
        },
        "preprocess": {"profile": "tiny", "contrast": 1.1},
        "system_prompt": {"zh": "你是客服。", "en": "You are a clerk."},
        "handover_below": 0.7,
        "sampling": {"temperature": 0.25, "top_p": 1.0, "max_tokens": 64},
        **changes,
    }


def write_model(folder: Path, raw: dict[str, Any] | None = None) -> None:
    """Writes `folder/models/<name>/1/…` and `folder/weights/<name>/tokenizer.json`."""
    raw = raw or card()
    home = folder / "models" / raw["name"] / "1"
    home.mkdir(parents=True)
    (home / "model.json").write_text(json.dumps(raw), encoding="utf-8")
    (home / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    weights = folder / "weights" / raw["name"]
    weights.mkdir(parents=True)
    byte_tokenizer().save(str(weights / "tokenizer.json"))
