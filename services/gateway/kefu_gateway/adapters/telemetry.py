"""The gateway's Prometheus metrics: OpenTelemetry GenAI names where they exist, `kefu_*` for the rest.

No session, user, request or picture id is ever a label: labels are stages, models, methods, codes and reasons.
"""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from kefu_common.errors import Reason
from kefu_common.metrics import SECONDS_BUCKETS

# From 1 token to the largest context; each bucket four times the one before (OpenTelemetry GenAI conventions).
TOKEN_BUCKETS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536)
# Between two tokens: from a fast GPU to a slow CPU.
PER_TOKEN_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)


class PrometheusTelemetry:
    """Implements the port Telemetry, and observes finished calls for the interceptor."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._stages = Histogram(
            "kefu_stage_duration_seconds",
            "Wall time of one stage of the road.",
            ["stage"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self._request = Histogram(
            "gen_ai_server_request_duration_seconds",
            "From the arrival of a question to its whole answer.",
            ["gen_ai_request_model"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self._first_token = Histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "From the arrival of a question to its first token.",
            ["gen_ai_request_model"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self._per_token = Histogram(
            "gen_ai_server_time_per_output_token_seconds",
            "Mean time between two tokens of one answer.",
            ["gen_ai_request_model"],
            buckets=PER_TOKEN_BUCKETS,
            registry=registry,
        )
        self._usage = Histogram(
            "gen_ai_client_token_usage",
            "Tokens of one turn by type: text and visual tokens of the prompt, tokens of the completion.",
            ["gen_ai_request_model", "gen_ai_token_type"],
            buckets=TOKEN_BUCKETS,
            registry=registry,
        )
        self._calls = Counter(
            "kefu_calls_total",
            "Finished calls by method and gRPC status code.",
            ["method", "code"],
            registry=registry,
        )
        self._rejected = Counter(
            "kefu_requests_rejected_total",
            "Calls that ended with an error, by reason.",
            ["reason"],
            registry=registry,
        )
        self._running = Gauge("kefu_turns_running", "Turns on the road now.", registry=registry)
        self._queued = Gauge(
            "kefu_admission_queue_depth", "Turns that wait to be admitted.", registry=registry
        )
        self._answer_cache = Counter(
            "kefu_answer_cache_total",
            "Questions at temperature 0: asked (miss), answered from the cache (hit), or joined to a running one.",
            ["outcome"],
            registry=registry,
        )
        self._parts = Histogram(
            "kefu_turn_parts",
            "Requests that one turn joined.",
            buckets=(1, 2, 3, 4, 5, 10, 20),
            registry=registry,
        )
        self._up = Gauge(
            "kefu_dependency_up",
            "Whether a dependency answered the last check.",
            ["dependency"],
            registry=registry,
        )

    def stage(self, name: str, seconds: float) -> None:
        self._stages.labels(name).observe(seconds)

    def first_token(self, model: str, seconds: float) -> None:
        self._first_token.labels(model).observe(seconds)

    def answered(
        self, model: str, seconds: float, after_first: float, usage: Mapping[str, int]
    ) -> None:
        self._request.labels(model).observe(seconds)
        for kind, count in usage.items():
            self._usage.labels(model, kind).observe(count)
        completion = usage.get("completion", 0)
        if completion > 1:
            self._per_token.labels(model).observe(after_first / (completion - 1))

    def admission(self, running: int, queued: int) -> None:
        self._running.set(running)
        self._queued.set(queued)

    def answer_cache(self, outcome: str) -> None:
        self._answer_cache.labels(outcome).inc()

    def turn(self, requests: int) -> None:
        self._parts.observe(requests)

    def dependency(self, name: str, up: bool) -> None:
        self._up.labels(name).set(1 if up else 0)

    def call(
        self, method: str, code: grpc.StatusCode, seconds: float, reason: Reason | None
    ) -> None:
        """Told by the interceptor of every finished call. An unknown method never gets here."""
        self._calls.labels(method, code.name).inc()
        if reason is not None:
            self._rejected.labels(reason.value).inc()
