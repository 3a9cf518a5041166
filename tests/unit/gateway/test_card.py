"""A model's card: read whole or refused with the key that is wrong."""

from __future__ import annotations

import json

import pytest

from kefu_gateway.adapters.preprocess import profile_of
from kefu_gateway.adapters.stock import sampling_parameters
from kefu_gateway.adapters.triton import sampling_json
from kefu_gateway.domain.answer import Box, Crop, PictureReport, Size
from kefu_gateway.domain.card import CardError, ModelCard
from kefu_gateway.domain.ports import Inference, Sampling
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


def test_every_preprocess_setting_of_a_card_reaches_the_sidecar() -> None:
    settings = {
        "contrast": 1.25, "sharpen": 0.5, "sharpen_blurred": 1.5, "lift_dark": 2.5, "clahe": 2.0, "webp_quality": 91,
        "webp_quality_blurred": 96,
        "multiple_of": 28,
    }  # fmt: skip
    sent = profile_of(ModelCard.parse(card(preprocess={"profile": "tiny", **settings})))
    assert {name: getattr(sent, name) for name in settings} == settings
    assert {field.name for field, _ in sent.ListFields()} >= settings.keys()


def test_what_a_publisher_recommends_reaches_every_kind_of_model_host() -> None:
    """`recommended` stood in the cards, and nothing of it but temperature and top-p was ever sent."""
    recommended = {"top_k": 20, "repetition_penalty": 1.05, "presence_penalty": 1.5}
    parsed = ModelCard.parse(card(sampling={"temperature": 0.7, "top_p": 0.8, **recommended}))
    assert parsed.sampling_extras.settings() == recommended
    sampling = Sampling(max_tokens=9, temperature=0.7, top_p=0.8, extras=parsed.sampling_extras)
    inference = Inference(model="tiny", input_ids=(1,), pictures=(), sampling=sampling)
    for sent in (sampling_json(inference), sampling_parameters(sampling)):
        assert recommended.items() <= json.loads(sent).items()
        assert "min_p" not in json.loads(sent)


def test_what_is_off_is_not_sent() -> None:
    """A backend from before these settings refuses names that it does not know."""
    off = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0}
    for sampling in ({}, off):
        parsed = ModelCard.parse(card(sampling=sampling))
        assert parsed.sampling_extras.settings() == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [("top_k", -1), ("min_p", 2), ("repetition_penalty", 0), ("presence_penalty", "much")],
)
def test_a_recommendation_that_no_engine_would_take_is_refused(key: str, value: object) -> None:
    with pytest.raises(CardError, match=r"tiny.*(sampling|wrong kind)"):
        ModelCard.parse(card(sampling={key: value}))


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
