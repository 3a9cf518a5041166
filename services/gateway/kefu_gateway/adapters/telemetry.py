"""The gateway's Prometheus metrics: OpenTelemetry GenAI names where they exist, `kefu_*` for the rest.

No session, user, request or picture id is ever a label: labels are stages, models, methods, codes and reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from typing import Protocol

import grpc
from prometheus_client import CollectorRegistry, ProcessCollector

from kefu_common.calls import exemplar, note
from kefu_common.errors import Reason
from kefu_common.metrics import SECONDS_BUCKETS, Counter, Gauge, Histogram
from kefu_gateway.domain.admission import AdmissionLimits
from kefu_gateway.domain.answer import Answer, FinishReason

# From 1 token to the largest context; each bucket four times the one before (OpenTelemetry GenAI conventions).
TOKEN_BUCKETS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536)
# Between two tokens: from a fast GPU to a slow CPU.
PER_TOKEN_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
# From a thumbnail to the largest upload that a setting allows.
BYTES_BUCKETS = (16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864)
CONFIDENCE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
# Failures for which the service answers, and which its error budget pays; every other reason is the caller's, or asks
# it to go elsewhere (DRAINING).
OURS = frozenset(
    {
        Reason.IDENTITY_UNAVAILABLE,
        Reason.INTERNAL,
        Reason.OVERLOADED,
        Reason.MODEL_SERVER_UNAVAILABLE,
        Reason.MODEL_NOT_READY,
        Reason.PREPROCESS_UNAVAILABLE,
        Reason.STORE_UNAVAILABLE,
        Reason.TURN_INTERRUPTED,
        Reason.DEADLINE_EXCEEDED,
    }
)
# The words of `handover.reason` that the API documents; an engine's own word must not become a label.
_HANDOVERS = frozenset({"cannot_see", "unverified", "low_confidence"})


class _Queue(Protocol):
    """Admission, as its gauges read it."""

    @property
    def limits(self) -> AdmissionLimits: ...
    @property
    def tokens(self) -> int: ...
    def oldest_seconds(self) -> float: ...


class PrometheusTelemetry:
    """Implements the port Telemetry, and observes finished calls for the interceptor."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        ProcessCollector(registry=registry)
        build = Gauge("kefu_build_info", "1, by version.", ["version"], registry=registry)
        build.labels(metadata.version("kefu")).set(1)
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
        self._questions = Counter(
            "kefu_questions_total",
            "Questions by how they ended: answered, cancelled by the caller, failed for a reason of ours, or refused; "
            "the reason where it is one of the last two. Questions of live streams count like all others.",
            ["outcome", "reason"],
            registry=registry,
        )
        # A series that begins at its first failure has no increase to show: all begin at zero.
        self._outcomes = {
            name: self._questions.labels(name, "") for name in ("answered", "cancelled")
        }
        for reason in Reason:
            outcome = "failed" if reason in OURS else "refused"
            self._outcomes[reason.value] = self._questions.labels(outcome, reason.value)
            self._rejected.labels(reason.value)
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
        self._url_fetches = Counter(
            "kefu_url_fetches_total",
            "Pictures by URL, by how their fetch ended.",
            ["outcome"],
            registry=registry,
        )
        self._parts = Histogram(
            "kefu_turn_parts",
            "Requests that one turn joined.",
            buckets=(1, 2, 3, 4, 5, 10, 20),
            registry=registry,
        )
        self._restarted = Counter(
            "kefu_turns_restarted_total",
            "Running turns that gave way to a larger one, because a part arrived before the first token.",
            registry=registry,
        )
        self._answers = Counter(
            "kefu_answers_total",
            "Answered turns by model and by what ended the answer.",
            ["model", "finish_reason"],
            registry=registry,
        )
        self._confidence = Histogram(
            "kefu_answer_confidence_ratio",
            "How sure the model was of an answer, 0 to 1; answers without token probabilities are left out.",
            ["model"],
            buckets=CONFIDENCE_BUCKETS,
            registry=registry,
        )
        self._handovers = Counter(
            "kefu_handovers_total",
            "Answered turns that a person should take over, by reason.",
            ["model", "reason"],
            registry=registry,
        )
        self._pictures = Counter(
            "kefu_pictures_total",
            "Pictures of answered turns: prepared by the sidecar, or known from a cache.",
            ["source"],
            registry=registry,
        )
        self._rounds = Counter(
            "kefu_history_rounds_total",
            "Earlier rounds of sessions: in the prompt (kept), or left out because they did not fit (dropped).",
            ["outcome"],
            registry=registry,
        )
        for outcome in ("miss", "hit", "joined"):
            self._answer_cache.labels(outcome)
        for source in ("sidecar", "cache"):
            self._pictures.labels(source)
        for outcome in ("kept", "dropped"):
            self._rounds.labels(outcome)
        self._uploads = Histogram(
            "kefu_upload_bytes",
            "Bytes of uploads that became whole.",
            buckets=BYTES_BUCKETS,
            registry=registry,
        )
        self._up = Gauge(
            "kefu_dependency_up",
            "Whether a dependency answered the last check.",
            ["dependency"],
            registry=registry,
        )

    def models(self, names: Iterable[str]) -> None:
        """The hosted models: their counters begin at zero, so that a first hand-over is an increase."""
        for name in names:
            for finish in FinishReason:
                self._answers.labels(name, finish.value)
            for reason in (*_HANDOVERS, "other"):
                self._handovers.labels(name, reason)

    def first_token_objective(self, seconds: float) -> None:
        """What the operator promises: 95 of 100 first tokens sooner than this. The alert and the dashboards read it."""
        Gauge(
            "kefu_first_token_objective_seconds",
            "Seconds in which 95 of 100 answers should begin; a setting.",
            registry=self._registry,
        ).set(seconds)

    def watch_admission(self, admission: _Queue) -> None:
        """Shows the limits of `admission` and how full it is, read when Prometheus asks."""
        limits = admission.limits
        figures: tuple[tuple[str, str, Callable[[], float]], ...] = (
            ("kefu_turns_limit", "Turns that may run at once.", lambda: limits.turns),
            ("kefu_admission_queue_limit", "Turns that may wait.", lambda: limits.queue),
            (
                "kefu_admission_tokens_limit",
                "Tokens that the running turns may take together.",
                lambda: limits.tokens,
            ),
            (
                "kefu_admission_tokens",
                "Estimated tokens of the running turns.",
                lambda: admission.tokens,
            ),
            (
                "kefu_admission_oldest_wait_seconds",
                "How long the first in the queue has waited; 0 where nobody waits.",
                admission.oldest_seconds,
            ),
        )
        for name, text, read in figures:
            Gauge(name, text, registry=self._registry).set_function(read)

    def watch_sessions(self, held: Callable[[], int]) -> None:
        """Shows how many sessions' turns this gateway runs, read when Prometheus asks."""
        Gauge(
            "kefu_sessions_held",
            "Sessions whose turns this gateway runs now.",
            registry=self._registry,
        ).set_function(held)

    def stage(self, name: str, seconds: float) -> None:
        self._stages.labels(name).observe(seconds)

    def first_token(self, model: str, seconds: float) -> None:
        self._first_token.labels(model).observe(seconds, exemplar())

    def answered(
        self, model: str, seconds: float, after_first: float, usage: Mapping[str, int]
    ) -> None:
        note(model=model, tokens=usage)
        self._request.labels(model).observe(seconds, exemplar())
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

    def url_fetch(self, outcome: str) -> None:
        self._url_fetches.labels(outcome).inc()

    def question(self, outcome: str) -> None:
        self._outcomes[outcome].inc()

    def restarted(self) -> None:
        self._restarted.inc()

    def turn(self, answer: Answer) -> None:
        model = answer.model
        self._parts.observe(answer.joined_requests)
        self._answers.labels(model, answer.finish_reason.value).inc()
        if answer.confidence.method != "none":
            self._confidence.labels(model).observe(answer.confidence.score)
        if answer.handover is not None:
            reason = answer.handover.reason
            self._handovers.labels(model, reason if reason in _HANDOVERS else "other").inc()
        for picture in answer.pictures:
            self._pictures.labels("cache" if picture.cached else "sidecar").inc()
        if answer.usage.history_rounds or answer.usage.dropped_rounds:
            self._rounds.labels("kept").inc(answer.usage.history_rounds)
            self._rounds.labels("dropped").inc(answer.usage.dropped_rounds)

    def upload(self, size: int) -> None:
        self._uploads.observe(size)

    def dependency(self, name: str, up: bool) -> None:
        self._up.labels(name).set(1 if up else 0)

    def call(
        self, method: str, code: grpc.StatusCode, seconds: float, reason: Reason | None
    ) -> None:
        """Told by the interceptor of every finished call. An unknown method never gets here."""
        self._calls.labels(method, code.name).inc()
        if reason is not None:
            self._rejected.labels(reason.value).inc()
