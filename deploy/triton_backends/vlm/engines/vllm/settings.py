"""`engine_settings` of a card as arguments of vLLM, each name checked.

    engine_arguments(card, weights, known={"max_num_seqs", …}, cpu=False)
    {"model": ".kefu/weights/qwen3_vl_4b", "max_model_len": 32768, "max_num_seqs": 32, …}

Whatever `AsyncEngineArgs` has may stand in `engine_settings` under its own name (`tensor_parallel_size`,
`gpu_memory_utilization`, `quantization`, `kv_cache_dtype` …); what follows from the rest of the card may not.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from engines.base import Card
from engines.remote_code import NotPinned, remote_code

# Read by the backend (`model.py`), not by vLLM.
_OURS = frozenset({"threads", "environment", "debug_dir"})
_FOLLOW = {
    "model": "the weights' folder",
    "tokenizer": "the weights' folder",
    "tokenizer_mode": "the weights' folder",
    "skip_tokenizer_init": "the engine needs it",
    "revision": "`weights.revision`",
    "code_revision": "`weights.revision`",
    "tokenizer_revision": "`weights.revision`",
    "trust_remote_code": "`weights.remote_code`, with a pinned `weights.revision`",
    "runner": "the engine writes",
    "disable_log_stats": "the engine's metrics",
    "enable_log_requests": "prompts are never logged",
}
_CPU: Mapping[str, Any] = {
    # Compiling takes a C++ compiler and minutes; captured graphs are a GPU's.
    "enforce_eager": True,
    # vLLM would take nearly all of the machine's memory, which is not ours alone.
    "kv_cache_memory_bytes": 1 << 30,
    "skip_mm_profiling": True,
    "max_num_seqs": 32,
    # Prompts are read whole: where one is read in parts vLLM (0.32, `_bookkeeping_sync`) turns a seed's generator back,
    # which a CPU's cannot, and the engine is dead.
    "enable_chunked_prefill": False,
}


def engine_arguments(
    card: Card, weights: Path, *, known: Collection[str], cpu: bool
) -> dict[str, Any]:
    """Arguments for `AsyncEngineArgs`; ValueError names every setting that cannot be, and what it may have meant.

    known: the names of AsyncEngineArgs' fields; cpu: no GPU is there
    """
    given = {name: value for name, value in card.settings.items() if name not in _OURS}
    problems = [
        f"{name} follows from {_FOLLOW[name]} and is not set here"
        for name in sorted(given)
        if name in _FOLLOW
    ]
    for name in sorted(set(given) - set(known) - set(_FOLLOW)):
        near = difflib.get_close_matches(name, [*known, *_OURS], n=3, cutoff=0.6)
        hint = f"; near it: {', '.join(near)}" if near else ""
        problems.append(f"vLLM has no setting {name}{hint}")
    longest = given.get("max_model_len")
    if isinstance(longest, int) and longest > card.context_tokens:
        problems.append(
            f"max_model_len is {longest}, more than the card's context_tokens ({card.context_tokens})"
        )
    shown = given.get("limit_mm_per_prompt")
    if isinstance(shown, Mapping) and _pictures(shown) < card.max_pictures:
        problems.append(
            f"limit_mm_per_prompt lets {_pictures(shown)} pictures in, the card's max_pictures is"
            f" {card.max_pictures}: lower that instead"
        )
    code = False
    try:
        code = remote_code(card, weights)
    except NotPinned as error:
        problems.append(str(error))
    if problems:
        raise ValueError(f"engine_settings of {card.name}: {'; '.join(problems)}")
    arguments = {
        **(_on_cpu(card) if cpu else {}),
        "model": str(weights),
        "max_model_len": card.context_tokens,
        "limit_mm_per_prompt": {"image": card.max_pictures, "video": 0},
        "trust_remote_code": code,
        "enable_prefix_caching": True,
        # Without white space and fields that nobody asked for: a model that may write them may write them for ever.
        # Guidance is what can leave both out.
        "structured_outputs_config": {
            "backend": "guidance",
            "disable_any_whitespace": True,
            "disable_additional_properties": True,
        },
        "disable_log_stats": True,
        "enable_log_requests": False,
        **given,
    }
    # What an older or newer vLLM does not know of our own choices is left out; the card's names were checked above.
    return {name: value for name, value in arguments.items() if name in known}


def _on_cpu(card: Card) -> dict[str, Any]:
    return {**_CPU, "max_num_batched_tokens": max(4096, card.context_tokens)}


def _pictures(limits: Mapping[str, Any]) -> int:
    value = limits.get("image", 0)
    return int(value.get("count", 0) if isinstance(value, Mapping) else value)
