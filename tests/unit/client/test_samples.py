"""The sample pictures are there, small, phone-sized, described, and what samples/pages.py draws."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
_SAMPLES = _ROOT / "samples"
_PICTURES = sorted(_SAMPLES.glob("*.png"))
_FONTS = Path("/usr/share/fonts/opentype/noto")


def test_there_are_five_and_the_readme_has_each() -> None:
    readme = (_SAMPLES / "README.md").read_text(encoding="utf-8")
    assert len(_PICTURES) == 5
    assert set(re.findall(r"^\| `(\w+\.png)`", readme, re.MULTILINE)) == {p.name for p in _PICTURES}


@pytest.mark.parametrize("path", _PICTURES, ids=lambda path: path.name)
def test_a_sample_is_a_small_png_of_a_phones_size(path: Path) -> None:
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", data[16:24])
    assert width == 1080
    assert 2.0 < height / width < 2.4
    assert len(data) < 100_000


def test_every_question_is_about_a_sample_and_its_answer_can_be_matched() -> None:
    lines = (_SAMPLES / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line) for line in lines]
    assert {each["picture"] for each in questions} == {path.name for path in _PICTURES}
    drawn = (_SAMPLES / "pages.py").read_text(encoding="utf-8")
    for each in questions:
        assert each["language"] in ("zh", "en")
        # The answer stands on some page, so a wrong expression cannot hide behind a wrong model.
        assert re.search(each["answer_regex"], drawn), each["question"]


@pytest.mark.skipif(not _FONTS.is_dir(), reason="the font is not installed: fonts-noto-cjk")
def test_the_pictures_are_what_the_script_draws() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "samples.draw", "--check"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
