"""Why vLLM did not start, in an operator's words; what it reports while it runs; what its tokens stand for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from engines.token_bytes import TokenBytes
from engines.vllm.memory import explain
from engines.vllm.printed import Printed
from engines.vllm.stats import COUNTERS, FIRST_TOKEN, GAUGES, Stats
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

_FAILED = "RuntimeError: Engine core initialization failed. See root cause above."


# The sentences are vLLM 0.32's and torch 2.13's own.
@pytest.mark.parametrize(
    ("printed", "names"),
    [
        (
            "ValueError: Free memory on device cuda:0 (3.1/24.0 GiB) on startup is less than desired GPU memory"
            " utilization (0.9, 21.6 GiB).",
            ["lower gpu_memory_utilization"],
        ),
        (
            "ValueError: To serve at least one request with the models's max seq len (32768), 4.5 GiB KV cache is"
            " needed, which is larger than the available KV cache memory (1.0 GiB). Based on the available memory,"
            " the estimated maximum model length is 7424.",
            ["lower max_model_len", "7424 tokens would fit", "raise gpu_memory_utilization"],
        ),
        (
            "ValueError: No available memory for the cache blocks. Try increasing gpu_memory_utilization",
            ["raise gpu_memory_utilization", "limit_mm_per_prompt", "max_num_seqs"],
        ),
        (
            "RuntimeError: CUDA out of memory occurred when warming up sampler with 1024 dummy requests.",
            ["lower max_num_seqs"],
        ),
        (
            "File gpu_model_runner.py, in profile_run\n self.model.embed_multimodal(\n"
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 9.00 GiB",
            ["lower limit_mm_per_prompt"],
        ),
        (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 260.00 MiB",
            ["the weights do not fit", "tensor_parallel_size", "max_model_len"],
        ),
    ],
)
def test_short_memory_names_the_setting(printed: str, names: list[str]) -> None:
    said = explain(printed + _FAILED, _FAILED)
    assert said.startswith("out of memory: ")
    for name in names:
        assert name in said


def test_another_failure_says_its_cause_and_not_that_something_failed() -> None:
    printed = f"(EngineCore pid=1) KeyError: 'rope_theta'\n(EngineCore pid=1) {_FAILED}\n"
    assert explain(printed, _FAILED) == "KeyError: 'rope_theta'"
    assert explain("", "ValueError: a\n  b") == "ValueError: a b"


def test_what_a_child_prints_is_kept_and_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    with Printed() as printed:
        os.system("echo from the child")
    os.write(1, b"from us\n")
    for _ in range(200):
        if "child" in printed.tail():
            break
        os.sched_yield()
    assert printed.tail() == "from the child\n"
    shown = capfd.readouterr()
    assert shown.out == "from us\n"


class Recorder:
    """A Meter that holds what it was told; a name that was not declared is a mistake."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {"kefu_vlm_progress_total": 0, "kefu_vlm_busy_slots": 0}
        self.observed: dict[str, list[float]] = {}

    def declare(self, counters: Mapping[str, str], gauges: Mapping[str, str]) -> None:
        self.values |= dict.fromkeys([*counters, *gauges], 0.0)

    def add(self, name: str, value: float = 1.0) -> None:
        self.values[name] = self.values[name] + value

    def set(self, name: str, value: float) -> None:
        assert name in self.values
        self.values[name] = value

    def declare_histogram(self, name: str, text: str, buckets: Sequence[float]) -> None:
        assert list(buckets) == sorted(buckets)
        self.observed[name] = []

    def observe(self, name: str, value: float) -> None:
        self.observed[name].append(value)


def test_steps_become_metrics_and_idle_means_nought() -> None:
    meter = Recorder()
    stats = Stats(meter)
    scheduler = SimpleNamespace(
        num_running_reqs=3,
        num_waiting_reqs=2,
        kv_cache_usage=0.25,
        prefix_cache_stats=SimpleNamespace(queries=100, hits=64),
    )
    step = SimpleNamespace(
        num_prompt_tokens=100,
        num_generation_tokens=3,
        num_preempted_reqs=1,
        time_to_first_tokens_iter=[0.5, 0.25],
    )
    stats.record(scheduler, step, SimpleNamespace(queries=2, hits=1))
    stats.record(None, None, None)
    assert meter.values["kefu_vlm_progress_total"] == 103
    assert meter.values["kefu_vllm_running_requests"] == meter.values["kefu_vlm_busy_slots"] == 3
    assert meter.values["kefu_vllm_first_token_seconds_total"] == 0.75
    assert meter.observed == {FIRST_TOKEN: [0.5, 0.25]}
    assert all(meter.values[name] > 0 for name in [*COUNTERS, *GAUGES])
    stats.idle()
    assert all(meter.values[name] == 0 for name in [*GAUGES, "kefu_vlm_busy_slots"])


@pytest.mark.parametrize("kind", ["bytes", "sentencepiece"])
def test_tokens_are_their_bytes(tmp_path: Path, kind: str) -> None:
    if kind == "bytes":
        letters = sorted(pre_tokenizers.ByteLevel.alphabet())
        made = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(letters)}, merges=[]))
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        made.decoder = decoders.ByteLevel()
    else:
        vocabulary = {f"<0x{b:02X}>": b for b in range(256)} | {"▁a": 256, "退": 257}
        made = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True))
        made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback()])
    made.add_special_tokens([AddedToken("<|end|>", special=True)])
    made.add_tokens([AddedToken("<tool>")])
    path = tmp_path / "tokenizer.json"
    made.save(str(path))
    known = TokenBytes(path)
    text = "退款 👍🏽 a" if kind == "bytes" else "款"
    ids = made.encode(text).ids
    assert b"".join(known.raw(i) for i in ids) == text.encode()
    assert known.raw(made.token_to_id("<|end|>")) == b""
    assert known.raw(made.token_to_id("<tool>")) == b"<tool>"
    assert known.size == made.get_vocab_size()
    assert known.raw(known.size + 5) == b""
    if kind == "sentencepiece":
        assert known.raw(256) == b" a"


def test_a_vocabulary_of_an_unknown_kind(tmp_path: Path) -> None:
    made = Tokenizer(models.WordPiece(vocab={"[UNK]": 0}, unk_token="[UNK]"))
    made.decoder = decoders.WordPiece()
    path = tmp_path / "tokenizer.json"
    made.save(str(path))
    with pytest.raises(ValueError, match="WordPiece"):
        TokenBytes(path)
