"""Why an engine did not start, for the operator: which setting to lower (or raise) where memory was short.

vLLM's core runs in a process of its own and tells the one that started it no more than that it failed. What it
printed is read here.
"""

from __future__ import annotations

import re

# What vLLM or torch print, and what it means for `engine_settings`; the first that is found counts.
_SHORT = (
    (
        r"is less than desired (?:GPU|CPU) memory utilization",
        "something else uses this device's memory: free it, or lower gpu_memory_utilization to the share that is free",
    ),
    (
        r"warming up sampler with \d+ dummy requests",
        "memory was short with max_num_seqs requests at once: lower max_num_seqs",
    ),
    (
        r"larger than the available KV cache memory",
        "one prompt of the full length does not fit: lower max_model_len (and the card's context_tokens), or raise"
        " gpu_memory_utilization",
    ),
    (
        r"No available memory for the cache blocks",
        "the weights leave no room for a cache: raise gpu_memory_utilization, or lower limit_mm_per_prompt (the card's"
        " max_pictures) and max_num_seqs; else quantise, or more GPUs by tensor_parallel_size",
    ),
    (
        r"on kv cache allocation is less than requested memory",
        "this machine does not have the memory asked for: lower kv_cache_memory_bytes",
    ),
    (
        r"(?:profile_run|embed_multimodal|get_multimodal_embeddings|_execute_mm_encoder)"
        r"[\s\S]*(?:OutOfMemoryError|CUDA out of memory)",
        "memory was short while pictures were tried: lower limit_mm_per_prompt (the card's max_pictures), then"
        " max_num_seqs and max_model_len",
    ),
    (
        r"OutOfMemoryError|CUDA out of memory|can't allocate memory|Cannot allocate memory|std::bad_alloc",
        "the weights do not fit: quantise, or more GPUs by tensor_parallel_size; if they nearly fit, lower"
        " max_model_len, max_num_seqs and limit_mm_per_prompt (the card's max_pictures)",
    ),
)
_ESTIMATE = re.compile(r"estimated maximum model length is (\d+)")
_CAUSE = re.compile(r"((?:\w+\.)*\w*(?:Error|Exception)\b: .+)")


def explain(printed: str, error: str) -> str:
    """One sentence for the log and the status: what to change where it is memory, else what went wrong."""
    for pattern, advice in _SHORT:
        if re.search(pattern, printed):
            estimate = _ESTIMATE.search(printed)
            longest = f" (vLLM says that {estimate[1]} tokens would fit)" if estimate else ""
            return f"out of memory: {advice}{longest}"
    if "Engine core initialization failed" in error:
        causes = [c for c in _CAUSE.findall(printed) if "Engine core initialization" not in c]
        error = causes[-1] if causes else error
    return re.sub(r"\s+", " ", error)[:600]
