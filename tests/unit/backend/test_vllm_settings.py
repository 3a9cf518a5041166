"""`engine_settings` become vLLM's arguments, and nothing that vLLM would not know or the card says otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from engines.base import Card
from engines.vllm.settings import engine_arguments

# Of AsyncEngineArgs' two hundred.
KNOWN = frozenset(
    {
        *("model", "max_model_len", "limit_mm_per_prompt", "trust_remote_code", "dtype"),
        *("enable_prefix_caching", "disable_log_stats", "enable_log_requests", "revision"),
        *("gpu_memory_utilization", "tensor_parallel_size", "quantization", "max_num_seqs"),
        *("kv_cache_memory_bytes", "enforce_eager", "structured_outputs_config", "tokenizer"),
    }
)


def card(settings: dict[str, Any] | None = None, **weights: Any) -> Card:
    return Card.from_json(
        {
            "name": "some_vl",
            "engine": "vllm",
            "context_tokens": 8192,
            "max_pictures": 4,
            "picture": {"placeholder_id": 7},
            "weights": weights,
            "engine_settings": settings or {},
        }
    )


def arguments(
    settings: dict[str, Any] | None = None,
    *,
    cpu: bool = False,
    folder: Path = Path("/weights"),
    **weights: Any,
) -> Any:
    return engine_arguments(card(settings, **weights), folder, known=KNOWN, cpu=cpu)


def test_what_follows_from_the_card() -> None:
    got = arguments()
    assert got["model"] == "/weights"
    assert got["max_model_len"] == 8192
    assert got["limit_mm_per_prompt"] == {"image": 4, "video": 0}
    assert got["enable_prefix_caching"] is True
    assert got["trust_remote_code"] is False
    assert "enforce_eager" not in got


def test_settings_are_handed_on_and_win_over_ours() -> None:
    got = arguments(
        {"tensor_parallel_size": 2, "quantization": "fp8", "enable_prefix_caching": False}
    )
    assert (got["tensor_parallel_size"], got["quantization"]) == (2, "fp8")
    assert got["enable_prefix_caching"] is False
    assert arguments({"max_num_seqs": 4}, cpu=True)["max_num_seqs"] == 4


def test_the_backends_own_settings_are_not_vllms() -> None:
    assert "threads" not in arguments({"threads": 8, "environment": "vllm"})


def test_a_cpu_is_not_filled_with_cache() -> None:
    got = arguments(cpu=True)
    assert got["kv_cache_memory_bytes"] == 1 << 30
    assert got["enforce_eager"] is True


def test_unknown_names_are_refused_with_those_near_them() -> None:
    with pytest.raises(ValueError, match="some_vl") as error:
        arguments({"gpu_memory_utilisation": 0.8, "zzz": 1})
    assert "near it: gpu_memory_utilization" in str(error.value)
    assert "vLLM has no setting zzz" in str(error.value)


@pytest.mark.parametrize("name", ["model", "revision", "trust_remote_code", "tokenizer"])
def test_what_follows_from_elsewhere_cannot_be_set(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} follows from"):
        arguments({name: "x"})


def test_limits_that_contradict_the_card() -> None:
    with pytest.raises(ValueError, match="more than the card's context_tokens"):
        arguments({"max_model_len": 9000})
    with pytest.raises(ValueError, match="lower that instead"):
        arguments({"limit_mm_per_prompt": {"image": {"count": 2}}})
    assert arguments({"max_model_len": 4096})["max_model_len"] == 4096


def test_remote_code_only_at_a_pinned_commit(tmp_path: Path) -> None:
    """A commit in the card alone said nothing about the files in the folder: vLLM ran whatever lay there."""
    commit = "a" * 40
    with pytest.raises(ValueError, match="40 hex digits"):
        arguments(remote_code=True, revision="main")
    manifest = tmp_path / "kefu-weights.json"
    for found in (None, {}, {"revision": "b" * 40}):
        if found is not None:
            manifest.write_text(json.dumps(found))
        with pytest.raises(ValueError, match="its code is not run"):
            arguments(remote_code=True, revision=commit, folder=tmp_path)
    manifest.write_text(json.dumps({"revision": commit}))
    got = arguments(remote_code=True, revision=commit, folder=tmp_path)
    assert got["trust_remote_code"] is True


def test_code_that_the_card_does_not_allow(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"auto_map": {"AutoConfig": "configuration_x.X"}}')
    with pytest.raises(ValueError, match="does not allow it"):
        arguments(folder=tmp_path)
