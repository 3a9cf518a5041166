"""A model's card: read whole or refused with the key that is wrong."""

from __future__ import annotations

import pytest

from kefu_gateway.domain.answer import Box, Crop, PictureReport, Size
from kefu_gateway.domain.card import CardError, ModelCard
from tests.fakes.model import card


def test_visual_tokens_by_patches() -> None:
    """Qwen2-VL's rule: a 28-pixel patch a token after merging, sides rounded, and two marks around."""
    parsed = ModelCard.parse(card())
    assert parsed.visual_tokens(Size(28, 28)) == 1 + 2
    assert parsed.visual_tokens(Size(29, 57)) == 1 * 2 + 2
    # Round half to even, as the processor's own `round`: 2.5 patches are 2, 3.5 are 4.
    assert parsed.visual_tokens(Size(70, 98)) == 2 * 4 + 2


def test_bounded_rule_counts_the_most() -> None:
    raw = card()
    raw["picture"]["tokens"] = {"rule": "bounded", "max_tokens": 600}
    assert ModelCard.parse(raw).visual_tokens(Size(5000, 5000)) == 600


@pytest.mark.parametrize("key", ["engine", "context_tokens", "picture", "chat_template"])
def test_missing_key_is_named(key: str) -> None:
    raw = card()
    del raw[key]
    with pytest.raises(CardError, match=key):
        ModelCard.parse(raw)


def test_unknown_rule_and_wrong_kind_are_refused() -> None:
    raw = card()
    raw["picture"]["tokens"] = {"rule": "guess"}
    with pytest.raises(CardError, match="guess"):
        ModelCard.parse(raw)
    with pytest.raises(CardError, match="tiny"):
        ModelCard.parse(card(context_tokens="many"))


def test_box_of_the_prepared_picture_is_found_on_the_original() -> None:
    report = PictureReport(
        index=0,
        sha256="",
        media_type="image/png",
        original=Size(1000, 2000),
        prepared=Size(500, 900),
        original_bytes=1,
        prepared_bytes=1,
        crop=Crop(top_px=100, bottom_px=100),
    )
    assert report.to_original(Box(0, 0, 500, 900)) == Box(0, 100, 1000, 1900)
    assert report.to_original(Box(10, 10, 20, 20)) == Box(20, 120, 40, 140)
