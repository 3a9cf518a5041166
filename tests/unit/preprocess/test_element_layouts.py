"""Elements of whole drawn screens against what was drawn, and numbers that can be read."""

from __future__ import annotations

import random

import cv2
import numpy as np

from bench.pictures.elements import Score, overlap
from bench.pictures.layouts import draw_layout
from kefu_preprocess.domain.elements import find_elements
from kefu_preprocess.domain.marks import COLOURS, ink_on, place_labels
from kefu_preprocess.domain.values import Box, ElementKind

Pixels = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]


def blank() -> Pixels:
    return np.full((1600, 1080, 3), 250, np.uint8)


def test_nearly_all_elements_of_drawn_screens_are_found_as_what_they_are_and_little_else() -> None:
    score = Score()
    for seed in range(7000, 7010):
        layout = draw_layout(random.Random(seed))
        score.add(layout, find_elements(layout.pixels))
    known = score.known.total()
    assert known > 150
    assert score.found.total() / known > 0.94
    assert score.right.total() / known > 0.92
    assert score.wrong.total() / score.told.total() < 0.1


def test_photos_side_by_side_stay_apart() -> None:
    """Photos were looked for in cells of 12 pixels, and those of a shop's two columns ran into one."""
    pixels = blank()
    grain = np.random.default_rng(3).integers(0, 255, (30, 30, 3)).astype(np.uint8)
    photo = cv2.resize(grain, (500, 500), interpolation=cv2.INTER_CUBIC)
    for left in (26, 554):
        pixels[200:700, left : left + 500] = photo
    pictures = [each.box for each in find_elements(pixels) if each.kind is ElementKind.PICTURE]
    assert len(pictures) == 2
    for left, box in zip((26, 554), sorted(pictures, key=lambda each: each.left), strict=True):
        assert overlap(box, Box(left, 200, left + 500, 700)) > 0.9


def test_the_soft_background_of_a_portrait_belongs_to_the_photo() -> None:
    """Only its lively middle was marked: a blurred background is nearly as even as a page."""
    pixels = blank()
    shade = np.linspace(30, 200, 560)[:, None, None] * np.array([0.3, 0.4, 1.0])
    pixels[300:860, 60:1020] = shade.astype(np.uint8)
    grain = np.random.default_rng(5).integers(0, 255, (40, 36, 3)).astype(np.uint8)
    pixels[300:860, 300:740] = cv2.resize(grain, (440, 560), interpolation=cv2.INTER_CUBIC)
    (photo,) = find_elements(pixels)
    assert photo.kind is ElementKind.PICTURE
    assert overlap(photo.box, Box(60, 300, 1020, 860)) > 0.9


def test_an_avatar_and_the_two_lines_beside_it_are_two_elements() -> None:
    """They stand close, became one piece that was too tall for text, and all three were lost."""
    pixels = blank()
    cv2.circle(pixels, (90, 300), 62, (60, 130, 60), -1, cv2.LINE_AA)
    cv2.circle(pixels, (90, 300), 30, (240, 250, 240), 6, cv2.LINE_AA)
    cv2.putText(pixels, "Circular", (166, 290), 0, 1.4, (20, 20, 20), 3, cv2.LINE_AA)
    cv2.putText(pixels, "icon.pack.circular", (166, 345), 0, 1.2, (90, 90, 90), 2, cv2.LINE_AA)
    elements = find_elements(pixels)
    assert any(overlap(each.box, Box(28, 238, 152, 362)) > 0.7 for each in elements)
    texts = [each.box for each in elements if each.kind is ElementKind.TEXT]
    assert any(overlap(each, Box(166, 250, 520, 355)) > 0.5 for each in texts)


def test_words_of_a_large_heading_are_one_element() -> None:
    pixels = blank()
    cv2.putText(pixels, "Delivery Today", (60, 300), 0, 3.2, (20, 20, 20), 8, cv2.LINE_AA)
    (heading,) = find_elements(pixels)
    assert heading.kind is ElementKind.TEXT
    assert heading.box.right > 700


def test_a_field_is_one_button_and_a_switch_is_a_sign() -> None:
    pixels = blank()
    cv2.rectangle(pixels, (44, 100), (1036, 212), (225, 225, 228), -1)
    cv2.putText(pixels, "Search orders", (90, 172), 0, 1.3, (130, 130, 130), 3, cv2.LINE_AA)
    for x in (913, 967):
        cv2.circle(pixels, (x, 436), 36, (33, 150, 243), -1, cv2.LINE_AA)
    cv2.rectangle(pixels, (913, 400), (967, 472), (33, 150, 243), -1)
    cv2.circle(pixels, (967, 436), 30, (255, 255, 255), -1, cv2.LINE_AA)
    field, switch = find_elements(pixels)
    assert field.kind is ElementKind.BUTTON
    assert overlap(field.box, Box(44, 100, 1036, 212)) > 0.9
    assert switch.kind is ElementKind.ICON
    assert overlap(switch.box, Box(877, 400, 1003, 472)) > 0.8


def test_numbers_lie_neither_on_one_another_nor_on_other_elements() -> None:
    boxes = [Box(20, 20 + 44 * row, 120, 60 + 44 * row) for row in range(12)]
    labels = place_labels(boxes, [(26, 18)] * len(boxes), (400, 600))
    for index, label in enumerate(labels):
        assert label.left >= 0
        assert label.top >= 0
        assert not any(overlap(label, other) for other in labels[:index])
        assert not any(overlap(label, box) > 0.05 for box in boxes)


def test_a_number_in_a_corner_stays_in_the_picture() -> None:
    (label,) = place_labels([Box(0, 0, 399, 599)], [(26, 18)], (400, 600))
    assert Box(0, 0, 400, 600) == Box(
        min(0, label.left), min(0, label.top), max(400, label.right), max(600, label.bottom)
    )


def test_digits_have_the_contrast_that_text_needs() -> None:
    def luminance(colour: tuple[int, int, int]) -> float:
        parts = [each / 255 for each in colour]
        linear = [
            each / 12.92 if each <= 0.04 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in COLOURS:
        light, dark = sorted((luminance(colour), luminance(ink_on(colour))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, colour
