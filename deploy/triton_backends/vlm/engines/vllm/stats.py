"""vLLM's own numbers under Triton's /metrics, by way of the Meter (which hands all of them over in one thread)."""

from __future__ import annotations

from typing import Any

from engines.base import Meter

COUNTERS = {
    "kefu_vllm_prompt_tokens_total": "Tokens of prompts, pictures included, that the engine took",
    "kefu_vllm_generation_tokens_total": "Tokens that the engine wrote",
    "kefu_vllm_steps_total": "Steps of the engine that gave tokens",
    "kefu_vllm_prefix_cache_queries_total": "Tokens of prompts that were looked for in the prefix cache",
    "kefu_vllm_prefix_cache_hits_total": "Tokens of prompts that were found there",
    "kefu_vllm_picture_cache_queries_total": "Pictures that were looked for in the picture cache",
    "kefu_vllm_picture_cache_hits_total": "Pictures that were found there",
    "kefu_vllm_preemptions_total": "Requests that had to give up their cache for others and start again",
    "kefu_vllm_first_tokens_total": "First tokens",
    "kefu_vllm_first_token_seconds_total": "Seconds from entry into the engine to the first token, added up",
}
FIRST_TOKEN = "kefu_vllm_first_token_seconds"  # noqa: S105 (a metric)
# As the gateway's own of the same thing, so that the two can be laid over each other.
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0)
GAUGES = {
    "kefu_vllm_running_requests": "Requests in the engine's steps",
    "kefu_vllm_waiting_requests": "Requests that wait for a place in the engine's steps",
    "kefu_vllm_kv_cache_usage": "Share of the KV cache in use, 0 to 1",
}


class Stats:
    """Takes what vLLM reports after each step."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        meter.declare(COUNTERS, GAUGES)
        meter.declare_histogram(
            FIRST_TOKEN, "Seconds from entry into the engine to the first token", _SECONDS
        )
        self.idle()

    def idle(self) -> None:
        """vLLM reports steps; after the last one was cancelled there is none that would say so."""
        for name in GAUGES:
            self._meter.set(name, 0.0)
        self._meter.set("kefu_vlm_busy_slots", 0.0)

    def record(self, scheduler: Any, iteration: Any, pictures: Any) -> None:
        """Each of them may be None: the state of the scheduler, what a step did, the picture cache's look-ups."""
        meter = self._meter
        if scheduler is not None:
            meter.set("kefu_vllm_running_requests", scheduler.num_running_reqs)
            meter.set("kefu_vlm_busy_slots", scheduler.num_running_reqs)
            meter.set("kefu_vllm_waiting_requests", scheduler.num_waiting_reqs)
            meter.set("kefu_vllm_kv_cache_usage", scheduler.kv_cache_usage)
            prefix = scheduler.prefix_cache_stats
            if prefix is not None and prefix.queries:
                meter.add("kefu_vllm_prefix_cache_queries_total", prefix.queries)
                meter.add("kefu_vllm_prefix_cache_hits_total", prefix.hits)
        if iteration is not None:
            prompt, written = iteration.num_prompt_tokens, iteration.num_generation_tokens
            meter.add("kefu_vlm_progress_total", prompt + written)
            meter.add("kefu_vllm_steps_total")
            meter.add("kefu_vllm_prompt_tokens_total", prompt)
            meter.add("kefu_vllm_generation_tokens_total", written)
            if iteration.num_preempted_reqs:
                meter.add("kefu_vllm_preemptions_total", iteration.num_preempted_reqs)
            first = iteration.time_to_first_tokens_iter
            if first:
                meter.add("kefu_vllm_first_tokens_total", len(first))
                meter.add("kefu_vllm_first_token_seconds_total", sum(first))
                for seconds in first:
                    meter.observe(FIRST_TOKEN, seconds)
        if pictures is not None and pictures.queries:
            meter.add("kefu_vllm_picture_cache_queries_total", pictures.queries)
            meter.add("kefu_vllm_picture_cache_hits_total", pictures.hits)


def stat_logger(stats: Stats) -> Any:
    """A class as vLLM wants it, bound to `stats`."""
    from vllm.v1.metrics.loggers import StatLoggerBase

    class Logger(StatLoggerBase):  # type: ignore[misc]
        def __init__(self, vllm_config: Any, engine_index: int = 0) -> None:
            """vLLM makes one an engine."""

        def record(
            self,
            scheduler_stats: Any,
            iteration_stats: Any,
            mm_cache_stats: Any = None,
            engine_idx: int = 0,
        ) -> None:
            stats.record(scheduler_stats, iteration_stats, mm_cache_stats)

        def log_engine_initialized(self) -> None:
            """vLLM's own log says it."""

    return Logger
