"""What the gateway's metrics say of answers and failures, and what must never become a label."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry

from kefu_common.errors import Reason
from kefu_common.status import DEFAULT_RETRY_AFTER
from kefu_gateway.adapters.telemetry import OURS, PrometheusTelemetry
from kefu_gateway.domain.answer import Answer, Confidence, FinishReason, Handover, Usage


def answer(**changes: Any) -> Answer:
    values: dict[str, Any] = {
        "request_id": "r-1",
        "text": "hi",
        "finish_reason": FinishReason.STOP,
        "model": "tiny",
        **changes,
    }
    return Answer(**values)


def test_every_failure_has_a_series_from_the_start_and_an_owner() -> None:
    """An error budget's first failure must be an increase; a series that begins at 1 has none."""
    registry = CollectorRegistry()
    PrometheusTelemetry(registry)
    for reason in Reason:
        owner = "failed" if reason in OURS else "refused"
        labels = {"outcome": owner, "reason": reason.value}
        assert registry.get_sample_value("kefu_questions_total", labels) == 0, reason
        rejected = {"reason": reason.value}
        assert registry.get_sample_value("kefu_requests_rejected_total", rejected) == 0, reason


def test_failures_worth_trying_again_are_ours() -> None:
    """What the API tells callers to try again is not their mistake; a quota and a drain are not the service's."""
    assert set(DEFAULT_RETRY_AFTER) - OURS == {Reason.QUOTA_EXCEEDED, Reason.DRAINING}


def test_an_engines_own_word_is_no_label() -> None:
    registry = CollectorRegistry()
    telemetry = PrometheusTelemetry(registry)
    for reason in ("cannot_see", "customer 4711 shouted"):
        telemetry.turn(answer(handover=Handover(reason=reason, note="")))
    for reason, count in (("cannot_see", 1), ("other", 1), ("customer 4711 shouted", None)):
        labels = {"model": "tiny", "reason": reason}
        assert registry.get_sample_value("kefu_handovers_total", labels) == count


def test_answers_without_probabilities_are_no_certain_ones() -> None:
    registry = CollectorRegistry()
    telemetry = PrometheusTelemetry(registry)
    telemetry.turn(answer())
    telemetry.turn(answer(confidence=Confidence(score=0.4, weakest=0.1, method="token_logprobs")))
    count = registry.get_sample_value("kefu_answer_confidence_ratio_count", {"model": "tiny"})
    assert count == 1


def test_rounds_that_did_not_fit_are_counted() -> None:
    registry = CollectorRegistry()
    telemetry = PrometheusTelemetry(registry)
    telemetry.turn(answer(usage=Usage(history_rounds=3, dropped_rounds=2)))
    for outcome, count in (("kept", 3), ("dropped", 2)):
        labels = {"outcome": outcome}
        assert registry.get_sample_value("kefu_history_rounds_total", labels) == count
