"""The gateway's count of visual tokens equals the engine's own, for 500 random sizes of each architecture.

Real code of the engine: Qwen2.5-VL, Qwen3-VL (transformers' processors, configured as published), and MiniCPM's
grids (transformers' MiniCPM-V 4.6, whose grids are 2.6's).  MiniCPM-V 2.6's and Magma's own code is in no package: what
it answered is kept here, and `python -m tools.visual_tokens` asks it again.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kefu_gateway.domain.answer import Size
from kefu_gateway.domain.card import ModelCard
from tests.fixtures.triton import ROOT
from tools.visual_tokens import sizes

ENGINE = ROOT / ".kefu/envs/transformers/bin/python"
MODELS = ROOT / "deploy/triton_models"
SIZES = [s for s in sizes(520) if max(s) / min(s) < 200][:500]
# Small enough that reading them is quick, and on both sides of the smallest budget.
PICTURES = [(w // 6 + 28, h // 6 + 28) for w, h in SIZES[:12]]

# preprocessor_config.json as published with the weights (the numbers that decide about sizes).
PUBLISHED = {
    "qwen2_5_vl_7b": {
        "image_processor_type": "Qwen2VLImageProcessor",
        "patch_size": 14,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "min_pixels": 3136,
        "max_pixels": 12845056,
    },
    "qwen3_vl_4b": {
        "image_processor_type": "Qwen2VLImageProcessor",
        "patch_size": 16,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "size": {"shortest_edge": 65536, "longest_edge": 16777216},
    },
    "slices": {
        "image_processor_type": "MiniCPMV4_6ImageProcessor",
        "max_slice_nums": 9,
        "scale_resolution": 448,
    },
}

# (width, height, tokens) as image_processing_magma.py (microsoft) and image_processing_minicpmv.py (openbmb) gave them.
GOLDEN = {
    "magma_8b": [
        (1187, 2821, 816),
        (324, 576, 544),
        (1154, 1880, 1056),
        (842, 632, 1056),
        (651, 2558, 1088),
        (3511, 6242, 1056),
        (712, 4403, 1088),
        (869, 652, 1056),
        (3260, 4134, 1056),
        (643, 482, 528),
        (1449, 3207, 816),
        (738, 554, 1056),
        (141, 1611, 1088),
        (67, 38, 272),
        (957, 1574, 1056),
        (3820, 5093, 1056),
        (1478, 4489, 1088),
        (1754, 3118, 1056),
        (1527, 3361, 816),
        (3650, 4867, 1056),
        (4245, 546, 1040),
        (1620, 1215, 1056),
        (295, 1933, 1088),
        (689, 517, 1056),
    ],
    "minicpm_v_2_6": [
        (1187, 2821, 600),
        (324, 576, 69),
        (1154, 1880, 600),
        (842, 632, 334),
        (651, 2558, 600),
        (3511, 6242, 600),
        (712, 4403, 604),
        (869, 652, 334),
        (3260, 4134, 665),
        (643, 482, 201),
        (1449, 3207, 600),
        (738, 554, 334),
        (141, 1611, 269),
        (67, 38, 69),
        (957, 1574, 600),
        (3820, 5093, 665),
        (1478, 4489, 600),
        (1754, 3118, 600),
        (1527, 3361, 600),
        (3650, 4867, 665),
        (4245, 546, 597),
        (1620, 1215, 665),
        (295, 1933, 336),
        (689, 517, 201),
    ],
}


def card(name: str) -> ModelCard:
    return ModelCard.parse(json.loads((MODELS / name / "1/model.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def engine() -> dict[str, Any]:
    """What the engine's own processors say, in their own environment; asked once."""
    if not ENGINE.exists():
        pytest.skip(f"{ENGINE} is not there: `./dev setup --all` makes the engine's environment")
    done = subprocess.run(
        [str(ENGINE), str(Path(__file__).with_name("engine_tokens.py"))],
        input=json.dumps({"processors": PUBLISHED, "sizes": SIZES, "pictures": PICTURES}),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.mark.parametrize("name", ["qwen2_5_vl_7b", "qwen3_vl_4b"])
def test_qwen_as_its_processor_counts(engine: dict[str, Any], name: str) -> None:
    model = card(name)
    ours = [model.visual_tokens(Size(*size)) for size in SIZES]
    assert ours == engine[name]["said"]
    assert len(set(ours)) > 300
    made = [model.visual_tokens(Size(*size)) for size in PICTURES]
    assert made == engine[name]["made"]


def test_minicpm_slices_as_openbmbs_code_in_transformers(engine: dict[str, Any]) -> None:
    model, one = card("minicpm_v_2_6"), 64 + 2
    for size, grid in zip(SIZES, engine["slices"]["grids"], strict=True):
        rows, columns = grid or (0, 0)
        # Number, whole picture, slices, a line break between their rows.
        tokens = 3 + one + rows * columns * one + max(0, rows - 1)
        assert model.visual_tokens(Size(*size)) == tokens, size


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_what_the_publishers_own_code_answered(name: str) -> None:
    model = card(name)
    for width, height, tokens in GOLDEN[name]:
        assert model.visual_tokens(Size(width, height)) == tokens, (width, height)


@pytest.mark.parametrize("name", ["qwen2_5_vl_7b", "qwen3_vl_4b", "minicpm_v_2_6", "magma_8b"])
def test_a_full_prompt_of_pictures_leaves_room_for_words(name: str) -> None:
    """As many pictures as the card allows, as large as the sidecar sends them, fit with a question and an answer."""
    model = card(name)
    budget = model.preprocess.max_pixels
    for proportion in (0.25, 0.5, 1.0, 2.0, 4.0):
        width = round((budget * proportion) ** 0.5)
        tokens = model.visual_tokens(Size(width, round(width / proportion)))
        assert tokens * model.max_pictures + 1024 <= model.context_tokens
