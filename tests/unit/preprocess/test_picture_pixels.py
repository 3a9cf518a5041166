"""Fitting, enhancing and encoding."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from kefu.preprocess.v1 import preprocess_service_pb2 as pb
from kefu_common.errors import KefuError, Reason
from kefu_preprocess.adapters.cache import MemoryCache
from kefu_preprocess.domain.enhance import adaptive_contrast, contrast_and_sharpen
from kefu_preprocess.domain.fit import target_size
from kefu_preprocess.domain.pipeline import STEPS, prepare
from kefu_preprocess.domain.profiles import check_profile
from kefu_preprocess.domain.values import Job, Limits, Prepared, Profile
from kefu_preprocess.servicers.translate import to_profile
from tests.unit.preprocess.pictures import encoded, noise, opened

SIDES = st.integers(1, 20_000)


@given(
    width=SIDES,
    height=SIDES,
    budget=st.integers(1_000, 12_000_000),
    patch=st.sampled_from([1, 14, 28, 32]),
)
def test_a_fitted_picture_is_in_the_budget_in_whole_patches_and_webp_can_hold_it(
    width: int, height: int, budget: int, patch: int
) -> None:
    profile = Profile(max_pixels=max(budget, patch * patch), multiple_of=patch)
    fitted = target_size(width, height, profile)
    assert fitted[0] * fitted[1] <= profile.max_pixels
    assert fitted[0] % patch == 0
    assert fitted[1] % patch == 0
    assert min(fitted) > 0
    assert max(fitted) <= 16383


@given(width=st.integers(40, 4000), height=st.integers(40, 4000))
def test_proportions_are_kept(width: int, height: int) -> None:
    fitted = target_size(width, height, Profile(max_pixels=500_000))
    assert abs(fitted[0] / fitted[1] / (width / height) - 1) < 0.05


def test_a_small_picture_is_only_enlarged_when_asked() -> None:
    assert target_size(100, 50, Profile()) == (100, 50)
    width, height = target_size(100, 50, Profile(min_pixels=20_000))
    assert 19_000 <= width * height <= 21_000


def test_the_fused_pass_does_what_the_usual_script_does() -> None:
    pixels = np.asarray(Image.fromarray(noise(300, 200)).filter(ImageFilter.GaussianBlur(2)))
    usual = ImageEnhance.Contrast(Image.fromarray(pixels)).enhance(1.3)
    usual = usual.filter(ImageFilter.UnsharpMask(radius=1, percent=150, threshold=0))
    ours = contrast_and_sharpen(pixels, 1.3, 1.5)
    difference = np.abs(np.asarray(usual).astype(int) - ours.astype(int))
    assert difference.mean() < 1.5
    # It is no accident of a picture that nothing changes: without the steps the distance is far larger.
    assert np.abs(np.asarray(usual).astype(int) - pixels.astype(int)).mean() > 8


def test_neutral_settings_change_nothing() -> None:
    pixels = noise(40, 30)
    assert contrast_and_sharpen(pixels, 1.0, 0.0) is pixels


def test_contrast_alone_spreads_and_keeps_the_mean() -> None:
    pixels = (noise(200, 200) // 3 + 80).astype(np.uint8)
    after = contrast_and_sharpen(pixels, 1.3, 0.0)
    assert 1.2 < after.std() / pixels.std() < 1.4
    assert abs(float(after.mean()) - float(pixels.mean())) < 2


def test_adaptive_contrast_lifts_a_dark_corner_and_keeps_greys_grey() -> None:
    pixels = np.full((256, 256, 3), 200, np.uint8)
    pixels[:128, :128] = (noise(128, 128)[:, :, :1] // 12 + 10).repeat(3, axis=2)
    after = adaptive_contrast(pixels, 3.0)
    assert after[:128, :128].std() > 1.1 * pixels[:128, :128].std()
    assert int(np.ptp(after.astype(int), axis=2).max()) <= 2


def test_the_same_job_gives_the_same_bytes() -> None:
    job = Job(data=_letters(0.0), find_elements=True, draw_elements=True)
    first, second = prepare(job, Limits()), prepare(job, Limits())
    assert first.data == second.data
    assert first.marked == second.marked
    assert first.marked != first.data


def test_lossless_is_lossless() -> None:
    pixels = noise(64, 48)
    profile = Profile(contrast=1.0, sharpen=0.0, sharpen_blurred=0.0, webp_quality=0)
    prepared = prepare(Job(data=encoded(pixels, "PNG"), profile=profile), Limits())
    assert np.array_equal(np.asarray(opened(prepared.data).convert("RGB")), pixels)
    assert prepared.report.steps == ("decode", "webp lossless")


def test_every_step_is_timed_under_its_name() -> None:
    report = prepare(Job(data=encoded(noise(64, 48), "PNG")), Limits()).report
    assert [name for name, _ in report.seconds] == [name for name, _ in STEPS]


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 2), (17, 9000)])
def test_the_oddest_shapes_pass_through_every_step(size: tuple[int, int]) -> None:
    data = encoded(np.full((size[1], size[0], 3), 99, np.uint8), "PNG")
    job = Job(data=data, find_elements=True, draw_elements=True, profile=Profile(clahe=2))
    prepared = prepare(job, Limits())
    assert opened(prepared.data).size == prepared.report.prepared_size


def test_a_colour_profile_is_not_passed_on() -> None:
    sink = io.BytesIO()
    Image.fromarray(noise(32, 32)).save(sink, "PNG", icc_profile=b"\x00" * 200)
    assert "icc_profile" not in opened(prepare(Job(data=sink.getvalue()), Limits()).data).info


@pytest.mark.parametrize(
    "profile",
    [
        Profile(contrast=float("inf")), Profile(clahe=-1), Profile(multiple_of=0), Profile(max_pixels=0),
        Profile(multiple_of=200, max_pixels=30_000),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(profile: Profile) -> None:
    with pytest.raises(KefuError) as caught:
        check_profile(profile)
    assert caught.value.reason is Reason.SETTING_INVALID
    assert str(caught.value.field).startswith("profile.")


def test_the_cache_forgets_the_least_recently_used_and_stays_in_its_bytes() -> None:
    report = prepare(Job(data=encoded(noise(8, 8), "PNG")), Limits()).report
    cache = MemoryCache(100_000)
    for name in "abcd":
        cache.put(name, Prepared(data=b"x" * 20_000, marked=b"", report=report))
    assert cache.get("a") is not None
    cache.put("e", Prepared(data=b"x" * 20_000, marked=b"", report=report))
    assert cache.get("b") is None
    assert cache.get("a") is not None
    assert cache.size <= 100_000
    cache.put("huge", Prepared(data=b"x" * 60_000, marked=b"", report=report))
    assert cache.get("huge") is None


def _letters(blur: float) -> bytes:
    picture = Image.new("RGB", (600, 400), "white")
    draw = ImageDraw.Draw(picture)
    for row in range(8):
        draw.text((20, 10 + row * 46), "Refund 2026-03-18", "black", ImageFont.load_default(32))
    return encoded(np.asarray(picture.filter(ImageFilter.GaussianBlur(blur))), "PNG")


@pytest.mark.parametrize(("blur", "budget", "sharpened"), [
    (0.0, 12_000_000, False),
    (2.5, 12_000_000, True),
    # Made smaller, its edges are as thin as those of a sharp picture.
    (2.5, 30_000, False),
])  # fmt: skip
def test_only_what_is_blurred_at_its_prepared_size_is_sharpened(
    blur: float, budget: int, sharpened: bool
) -> None:
    profile = Profile(contrast=1.0, sharpen=0.0, sharpen_blurred=1.5, max_pixels=budget)
    steps = prepare(Job(data=_letters(blur), profile=profile), Limits()).report.steps
    assert ("sharpen 1.50" in steps) is sharpened


@pytest.mark.parametrize(("blur", "quality", "made"), [
    (2.5, 85, "webp 95"), (0.0, 85, "webp 85"), (2.5, 98, "webp 98"), (2.5, 0, "webp lossless"),
])  # fmt: skip
def test_a_blurred_picture_may_have_more_quality(blur: float, quality: int, made: str) -> None:
    """Faint slopes fell under WebP's quantisation: of five budgets' blurred lines 95 won and 42 lost against 85."""
    profile = Profile(webp_quality=quality, webp_quality_blurred=95)
    assert prepare(Job(data=_letters(blur), profile=profile), Limits()).report.steps[-1] == made


def test_what_a_caller_leaves_open_is_the_default_and_zero_is_an_answer() -> None:
    assert to_profile(pb.Profile()) == Profile()
    off = to_profile(pb.Profile(sharpen_blurred=0, lift_dark=0, webp_quality=0))
    assert (off.sharpen_blurred, off.lift_dark, off.webp_quality) == (0, 0, 0)


def test_nothing_is_done_by_default_to_a_sharp_bright_picture() -> None:
    """The usual script's contrast and sharpening were the default: of half-size pictures'
    lines at five budgets 139 were lost and 36 won."""
    assert prepare(Job(data=_letters(0.0)), Limits()).report.steps == ("decode", "webp 85")


def test_the_stronger_sharpening_is_used_for_a_blurred_picture() -> None:
    profile = Profile(sharpen=2.0, sharpen_blurred=1.5)
    assert (
        "sharpen 2.00" in prepare(Job(data=_letters(2.5), profile=profile), Limits()).report.steps
    )
