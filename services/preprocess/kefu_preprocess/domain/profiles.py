"""The limits of a profile's settings, checked in one place.

check_profile(Profile(contrast=9.0))   # raises KefuError SETTING_INVALID, field "profile.contrast"
"""

from __future__ import annotations

import math

from kefu_common.errors import KefuError, Reason
from kefu_preprocess.domain.values import Profile

# Setting: (lowest, highest), both allowed. The same numbers stand in the comments of kefu.preprocess.v1.Profile.
_RANGES: dict[str, tuple[float, float]] = {
    "max_pixels": (1, 12_000_000),
    "min_pixels": (0, 12_000_000),
    "contrast": (0.5, 3.0),
    "sharpen": (0.0, 5.0),
    "sharpen_blurred": (0.0, 5.0),
    "lift_dark": (0.0, 8.0),
    "clahe": (0.0, 10.0),
    "webp_quality": (0, 100),
    "webp_quality_blurred": (0, 100),
    "multiple_of": (1, 256),
}


def check_profile(profile: Profile) -> None:
    """Raises KefuError SETTING_INVALID naming the first setting that is out of its range."""
    if len(profile.name) > 64:
        raise _invalid("name", "must have at most 64 characters")
    for name, (lowest, highest) in _RANGES.items():
        value = getattr(profile, name)
        if not math.isfinite(value) or not lowest <= value <= highest:
            raise _invalid(name, f"must be from {lowest:g} to {highest:g}")
    if profile.min_pixels > profile.max_pixels:
        raise _invalid("min_pixels", "must not be more than max_pixels")
    if profile.multiple_of**2 > profile.max_pixels:
        raise _invalid("multiple_of", "one patch must not have more pixels than max_pixels")


def _invalid(name: str, rule: str) -> KefuError:
    return KefuError(
        Reason.SETTING_INVALID,
        f"the setting {name} {rule}",
        field=f"profile.{name}",
        setting=name,
    )
