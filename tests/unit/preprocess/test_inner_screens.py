"""A screenshot inside a picture is told, with how much of the picture it covers; nothing else passes for one."""

from __future__ import annotations

import random

import numpy as np

from bench.pictures.lookalikes import lookalike
from bench.pictures.nested import letterboxed, nested, not_nested
from bench.pictures.screens import phone_screen
from kefu_preprocess.domain.quality import examine
from kefu_preprocess.domain.values import Finding, QualityKind


def inner(pixels: np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]) -> list[Finding]:
    findings = examine(pixels, "zh-CN").findings
    return [each for each in findings if "inside" in each.measure]


def test_most_screenshots_in_chats_and_viewers_are_found_with_their_share() -> None:
    found = 0
    for seed in range(300, 316):
        picture = nested(random.Random(seed))
        for finding in inner(picture.pixels):
            found += 1
            assert finding.kind is QualityKind.SCREEN_OF_SCREEN
            assert abs(finding.value - picture.share) < 0.06, (seed, picture.kind)
            assert "截图" in finding.advice
    assert found >= 9


def test_a_viewer_whose_picture_fills_the_whole_width_has_no_sides_and_is_found() -> None:
    found = 0
    for seed in range(320, 326):
        picture = letterboxed(random.Random(seed), screen=True)
        for finding in inner(picture.pixels):
            found += 1
            assert abs(finding.value - picture.share) < 0.06, seed
        assert not inner(letterboxed(random.Random(seed), screen=False).pixels), seed
    assert found >= 3


def test_photos_cards_and_cropped_screenshots_inside_are_none() -> None:
    for seed in range(300, 316):
        picture = not_nested(random.Random(seed))
        assert not inner(picture.pixels), (seed, picture.kind)


def test_a_screenshot_itself_holds_none() -> None:
    for seed in range(300, 312):
        assert not inner(phone_screen(random.Random(seed)).pixels), seed
        screen = lookalike(random.Random(seed))
        if "phone" not in screen.kind:  # a framed phone is one
            assert not inner(screen.pixels), (seed, screen.kind)
