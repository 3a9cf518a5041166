"""The benches of engines: what they say without a GPU, how they count."""

from __future__ import annotations

import math
import sys

import pytest

from bench import gpu
from bench.common_checkpoint import SIZES, config
from bench.common_engine import Measured
from bench.engines import shown, summary


def test_without_a_gpu_nothing_is_measured_and_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "argv", ["gpu"])
    assert gpu.main() == gpu.NOT_MEASURED == 3
    assert "NOT measured" in capsys.readouterr().out


def test_samples_of_nvidia_smi() -> None:
    busy = gpu.Busy()
    assert math.isnan(busy.utilisation)
    for line in ("40, 1000", "80, 3000", "[N/A]"):
        busy.read(line)
    assert (busy.utilisation, busy.memory) == (60, 3000)


def test_the_figure_is_the_median_of_the_turns_ratios() -> None:
    turns = [
        (Measured(90, 0.1, 9), Measured(100, 0.05, 9)),
        (Measured(10, 0.1, 9), Measured(100, 0.05, 9)),
        (Measured(450, 0.3, 9), Measured(500, 0.05, 9)),
    ]
    assert summary(8, False, turns)["ratio"] == pytest.approx(0.9)


def test_rounds_that_others_disturbed_give_no_verdict() -> None:
    """On a busy machine the rounds' ratios went from 0.4 to 3.9: their median is nobody's."""
    pairs = [(Measured(390, 0.1, 9), Measured(100, 0.05, 9))]
    line = {"model": "tiny", "road": "triton", "calm": 0, **summary(1, False, pairs)}
    assert shown(line).startswith("NO FIGURE")
    assert shown(line | {"calm": 3}).startswith("met")


@pytest.mark.parametrize("size", SIZES)
def test_the_sizes_are_models(size: str) -> None:
    """The parts of a rotary position must add up to half a head, a tower's window to its last layer."""
    base = {"vision_config": {"window_size": 112}, "vocab_size": 1024}
    made = config(size, base)
    head = made["hidden_size"] // made["num_attention_heads"]
    assert sum(made["rope_scaling"]["mrope_section"]) == head // 2
    assert made["num_attention_heads"] % made["num_key_value_heads"] == 0
    vision = made["vision_config"]
    assert vision["out_hidden_size"] == made["hidden_size"]
    assert vision["fullatt_block_indexes"] == [vision["depth"] - 1]
    assert vision["window_size"] == 112
