"""One placeholder a picture, as the contract has it, becomes what the model's own processor looks for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from engines.base import Card
from engines.vllm.prompt import PromptIds, end_ids

from tests.fakes.model import PLACEHOLDER, byte_tokenizer

ROOT = Path(__file__).resolve().parents[3]


def made(folder: Path, **picture: Any) -> PromptIds:
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    raw = {
        "name": "tiny",
        "engine": "vllm",
        "context_tokens": 64,
        "picture": {"placeholder": PLACEHOLDER, "placeholder_id": 256, **picture},
    }
    return PromptIds(Card.from_json(raw), folder / "tokenizer.json")


def test_tokens_that_end_an_answer_are_known(tmp_path: Path) -> None:
    byte_tokenizer().save(str(tmp_path / "tokenizer.json"))

    def ends(*names: str) -> tuple[int, ...]:
        raw = {"name": "tiny", "engine": "vllm", "context_tokens": 64, "end_tokens": list(names)}
        card = Card.from_json({**raw, "picture": {"placeholder_id": 256}})
        return end_ids(card, tmp_path / "tokenizer.json")

    assert ends() == ()
    assert ends(PLACEHOLDER) == (256,)
    with pytest.raises(ValueError, match="no token"):
        ends(PLACEHOLDER, "<|nowhere|>")


def test_a_placeholder_that_the_processor_knows_stays(tmp_path: Path) -> None:
    assert made(tmp_path).ids((1, 256, 2)) == [1, 256, 2]


def test_a_text_takes_the_place_of_each_placeholder(tmp_path: Path) -> None:
    card = json.loads((ROOT / "deploy/triton_models/minicpm_v_2_6/1/model.json").read_text())
    text = card["picture"]["engine_text"]
    ids = made(tmp_path, engine_text=text).ids((1, 256, 2, 256))
    tokenizer = byte_tokenizer()
    inside = tokenizer.encode(text).ids
    assert ids == [1, *inside, 2, *inside]
    assert tokenizer.decode(inside) == "(<image>./</image>)"
