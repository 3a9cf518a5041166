"""What an operator can change when a model cannot be loaded, from what the server and the engine said.

    said("load failed for model 'qwen3_vl_4b': … CUDA out of memory …\n\nAt: …")     # one line, no traceback
    advise(card, "… CUDA out of memory …")          # "out of memory: lower engine_settings.max_num_seqs, … in …"

Engines raise sentences of their own where they can; this is for what comes from below them: a driver, an allocator, the
kernel.  The advice alone may go to callers: what a driver says may not.
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
# A process that the kernel killed for its memory says nothing at all.
_DIED = re.compile(r"Stub process '.*' is not healthy|died while it was loading", re.IGNORECASE)
_TRACE = re.compile(r"\s*\n\s*At:.*", re.DOTALL)
_SETTINGS: Mapping[str, str] = {
    "vllm": "engine_settings.max_num_seqs, context_tokens, max_pictures or engine_settings.gpu_memory_utilization",
    "transformers": "engine_settings.kv_tokens, engine_settings.max_rows, max_pictures or context_tokens",
    "reader": "engine_settings.llm.pool_tokens or engine_settings.llm.cache_mib",
}


def said(words: str) -> str:
    """What was said, in one line and without its traceback."""
    return " ".join(_TRACE.sub("", words).split())


def advise(card: ModelCard, words: str) -> str:
    """What to lower where memory ran out; empty where these words do not speak of memory."""
    if _NO_MEMORY.search(words):
        why = "out of memory"
    elif _DIED.search(words):
        why = "its process died while it was loading, as when the machine's memory runs out"
    else:
        return ""
    path = card.folder / "1" / "model.json"
    settings = _SETTINGS.get(card.engine, "the sizes in engine_settings")
    needs = ""
    if card.memory is not None:
        sizes = ", ".join(
            f"{gibibytes(card.memory, form, tokens=card.context_tokens):.0f} GiB in {form}"
            for form in FORMATS
        )
        needs = f"; one full context takes about {sizes}"
    return f"{why}: lower {settings} in {path}{needs}"
