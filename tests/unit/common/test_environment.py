"""Settings: every problem at once, each by its variable's name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from kefu_common.environment import SettingsError, describe, load, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    address: str = setting("APP_ADDRESS", "127.0.0.1:1", "where to listen")
    workers: int = setting("APP_WORKERS", 2, "threads", minimum=1, maximum=8)
    share: float = setting("APP_SHARE", 0.5, "a share", minimum=0, maximum=1)
    loud: bool = setting("APP_LOUD", False, "say more")
    folder: Path = setting("APP_FOLDER", Path("x"), "a folder")
    level: str = setting("APP_LEVEL", "info", "a level", choices=("info", "debug"))


def test_defaults_and_values() -> None:
    assert load(Sample, {}) == Sample()
    given = {
        "APP_ADDRESS": "unix:/a",
        "APP_WORKERS": "8",
        "APP_SHARE": "1",
        "APP_LOUD": "Yes",
        "APP_FOLDER": "/tmp/f",
        "APP_LEVEL": "debug",
        "OTHER": "is not ours",
    }
    assert load(Sample, given, prefix="APP_") == Sample(
        address="unix:/a", workers=8, share=1.0, loud=True, folder=Path("/tmp/f"), level="debug"
    )
    assert load(Sample, {"APP_WORKERS": ""}) == Sample(), "an empty variable counts as absent"


def test_the_bounds_themselves_are_allowed() -> None:
    for workers in (1, 8):
        assert load(Sample, {"APP_WORKERS": str(workers)}).workers == workers
    for workers in (0, 9):
        with pytest.raises(SettingsError):
            load(Sample, {"APP_WORKERS": str(workers)})


def test_every_problem_is_named_at_once() -> None:
    wrong = {
        "APP_WORKERS": "0",
        "APP_SHARE": "nan",
        "APP_LOUD": "maybe",
        "APP_LEVEL": "shout",
        "APP_ADRESS": "a typo",
    }
    with pytest.raises(SettingsError) as caught:
        load(Sample, wrong, prefix="APP_")
    named = [problem.split("=")[0].split(":")[0] for problem in caught.value.problems]
    assert sorted(named) == ["APP_ADRESS", "APP_LEVEL", "APP_LOUD", "APP_SHARE", "APP_WORKERS"]


def test_help_names_every_variable() -> None:
    text = describe(Sample)
    assert all(name in text for name in ("APP_ADDRESS", "APP_FOLDER", "where to listen"))
