"""What an operator can change when a model cannot be loaded, from what the server and the engine said.

    advise(card, "load failed for model 'qwen3_vl_4b': … CUDA out of memory …")

Engines raise sentences of their own where they can; this is for what comes from below them: a driver, an allocator, the
kernel.  The words of the failure stay in front, the advice follows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from kefu_modelhost.card import ModelCard
from kefu_modelhost.memory import FORMATS, gibibytes

# torch, CUDA, vLLM's own checks before it allocates, C++, Python, the kernel's killer.
_NO_MEMORY = re.compile(
    r"out of memory|OutOfMemoryError|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation"
    r"|No available memory for the cache|larger than the available KV cache|larger than the maximum number"
    r"|less than desired GPU memory utilization|not enough memory|bad_alloc|MemoryError|Cannot allocate memory"
    r"|oom-kill|ended with -9",
    re.IGNORECASE,
)
_TRACE = re.compile(r"\s*\n\s*At:.*", re.DOTALL)
_SETTINGS: Mapping[str, str] = {
    "vllm": "engine_settings.max_num_seqs, context_tokens, max_pictures or engine_settings.gpu_memory_utilization",
    "transformers": "engine_settings.kv_tokens, engine_settings.max_rows, max_pictures or context_tokens",
    "reader": "engine_settings.llm.pool_tokens or engine_settings.llm.cache_mib",
}


def advise(card: ModelCard, said: str) -> str:
    """One line: what was said without its traceback, and after it what to lower where memory ran out."""
    words = " ".join(_TRACE.sub("", said).split())
    if not _NO_MEMORY.search(said) or "lower" in words:
        # Nothing to add, or the engine has said it better.
        return words
    path = card.folder / "1" / "model.json"
    settings = _SETTINGS.get(card.engine, "the sizes in engine_settings")
    needs = ""
    if card.memory is not None:
        sizes = ", ".join(
            f"{gibibytes(card.memory, form, tokens=card.context_tokens):.0f} GiB in {form}"
            for form in FORMATS
        )
        needs = f"; one full context takes about {sizes}"
    return f"{words} — out of memory: lower {settings} in {path}{needs}"
