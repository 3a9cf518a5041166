"""Elements of a drawn screen: what they are, where they are, in which order."""

from __future__ import annotations

import cv2
import numpy as np

from kefu_preprocess.domain.elements import find_elements
from kefu_preprocess.domain.marks import draw_marks
from kefu_preprocess.domain.pipeline import prepare
from kefu_preprocess.domain.values import Box, CropMode, Element, ElementKind, Job, Limits
from tests.unit.preprocess.pictures import encoded, opened

Pixels = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]


def screen() -> Pixels:
    pixels = np.full((2400, 1080, 3), 248, np.uint8)
    cv2.putText(pixels, "Order details", (60, 200), 0, 2.4, (20, 20, 20), 5, cv2.LINE_AA)
    rng = np.random.default_rng(1)
    photo = np.kron(rng.integers(0, 255, (60, 90, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    pixels[400:880, 100:820] = cv2.GaussianBlur(photo, (0, 0), 3)
    cv2.rectangle(pixels, (100, 1100), (980, 1230), (220, 80, 20), -1)
    cv2.putText(pixels, "Ask for a refund", (330, 1185), 0, 1.6, (255, 255, 255), 4, cv2.LINE_AA)
    cv2.circle(pixels, (960, 180), 34, (20, 20, 20), 8, cv2.LINE_AA)
    return pixels


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.bottom, b.bottom) - max(a.top, b.top)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (
        (a.right - a.left) * (a.bottom - a.top) + (b.right - b.left) * (b.bottom - b.top) - shared
    )


def best(elements: tuple[Element, ...], kind: ElementKind, box: Box) -> float:
    return max((overlap(each.box, box) for each in elements if each.kind is kind), default=0.0)


def test_text_picture_button_and_icon_are_told_apart() -> None:
    elements = find_elements(screen())
    assert best(elements, ElementKind.TEXT, Box(60, 145, 590, 205)) > 0.6
    assert best(elements, ElementKind.PICTURE, Box(100, 400, 820, 880)) > 0.8
    assert best(elements, ElementKind.BUTTON, Box(100, 1100, 980, 1230)) > 0.8
    assert best(elements, ElementKind.ICON, Box(922, 142, 998, 218)) > 0.6
    assert len(elements) <= 8


def test_numbers_begin_at_one_and_follow_the_reading_order() -> None:
    elements = find_elements(screen())
    assert [each.number for each in elements] == list(range(1, len(elements) + 1))
    button = next(each for each in elements if each.kind is ElementKind.BUTTON)
    picture = next(each for each in elements if each.kind is ElementKind.PICTURE)
    assert picture.number < button.number


def test_an_empty_picture_has_none() -> None:
    assert find_elements(np.full((600, 400, 3), 90, np.uint8)) == ()


def test_marks_are_drawn_on_a_copy() -> None:
    pixels = screen()
    before = pixels.copy()
    marked = draw_marks(pixels, find_elements(pixels), (0, 0), (1.0, 1.0))
    assert np.array_equal(pixels, before)
    assert not np.array_equal(marked, before)


def test_a_mark_is_where_its_element_is_in_a_picture_that_was_cropped_and_scaled() -> None:
    element = Element(number=1, kind=ElementKind.BUTTON, box=Box(200, 440, 600, 840))
    plain = np.zeros((400, 400, 3), np.uint8)
    marked = draw_marks(plain, (element,), (0, 40), (0.5, 0.25))
    drawn = marked.any(axis=2)
    assert drawn[100:201, 100].all()
    assert drawn[100:201, 300].all()
    assert drawn[100, 100:301].all()
    assert drawn[200, 100:301].all()
    assert not drawn[105:195, 105:295].any()
    assert not drawn[205:].any()


def test_the_service_returns_boxes_of_the_original_and_a_second_picture() -> None:
    job = Job(
        data=encoded(screen(), "PNG"),
        find_elements=True,
        draw_elements=True,
        crop_mode=CropMode.FORBID,
    )
    prepared = prepare(job, Limits())
    assert best(prepared.report.elements, ElementKind.BUTTON, Box(100, 1100, 980, 1230)) > 0.8
    assert opened(prepared.marked).size == opened(prepared.data).size
    assert prepare(Job(data=job.data, draw_elements=True), Limits()).marked == b""
