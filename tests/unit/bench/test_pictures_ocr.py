"""What the OCR bench claims to measure is what the cards ask for, and its p is the exact one."""

from __future__ import annotations

import math

import pytest

from bench.pictures.models import MODELS
from bench.pictures.ocr import card_profile, mcnemar
from kefu_preprocess.domain.profiles import check_profile


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_measured_at_its_cards_budget(name: str) -> None:
    profile = card_profile(name)
    check_profile(profile)
    model = MODELS[name]
    assert (profile.max_pixels, profile.multiple_of) == (model.max_pixels, model.multiple_of)


def test_p_is_that_of_a_fair_coin() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(4, 4) == 1.0
    assert math.isclose(mcnemar(5, 0), 2 / 32)
    assert math.isclose(mcnemar(1, 9), mcnemar(9, 1))
    assert math.isclose(mcnemar(9, 1), 2 * (1 + 10) / 1024)
