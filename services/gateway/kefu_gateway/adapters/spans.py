"""The road as spans: `turn`, and one a stage with the stage's own name, as the histogram's label has it.

`infer` carries the GenAI attributes of OpenTelemetry's conventions. Nothing that a customer said, no picture and no URL
is ever an attribute.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from kefu_common.calls import current_span
from kefu_common.errors import KefuError, Reason
from kefu_common.tracing import Attributes, Span, Tracing
from kefu_gateway.domain.spans import Headers
from kefu_gateway.domain.turn import Turn

_NOTHING = nullcontext()


class RoadSpans:
    """Implements the port Spans."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def stage(self, name: str, turn: Turn) -> AbstractContextManager[object]:
        span = self._tracing.span(name, client=name == "infer")
        return _NOTHING if span is None else _Of(span, turn, _FACTS.get(name, _no_facts))

    def turn(self, turn: Turn) -> AbstractContextManager[object]:
        span = self._tracing.span("turn", under=[each for each in turn.traces if each])
        return _NOTHING if span is None else _Of(span, turn, _turn_facts)

    def here(self) -> Headers:
        span = current_span.get()
        return () if span is None else span.headers


class _Of:
    """A span of a turn; its attributes are what the turn knows when it ends."""

    def __init__(self, span: Span, turn: Turn, facts: Callable[[Turn], Attributes]) -> None:
        self._span = span
        self._turn = turn
        self._facts = facts

    def __enter__(self) -> None:
        self._span.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: object
    ) -> None:
        if isinstance(error, KefuError):
            self._span.failed(error.reason.value)
        elif isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            # Its caller left, or a larger turn took its place.
            self._span.set({"kefu.cancelled": True})
        elif error is not None:
            self._span.failed(Reason.INTERNAL.value)
        self._span.set(self._facts(self._turn))
        if self._facts is _infer_facts and self._turn.first_token_at is not None:
            ago = time.perf_counter() - self._turn.first_token_at
            self._span.event("first_token", time.time_ns() - round(ago * 1e9))
        self._span.__exit__(kind, error, traceback)


def _no_facts(turn: Turn) -> Attributes:
    return {}


def _gather_facts(turn: Turn) -> Attributes:
    return {
        "kefu.pictures": len(turn.pictures),
        "kefu.picture_bytes": sum(len(data) for data in turn.originals),
    }


def _recall_facts(turn: Turn) -> Attributes:
    return {"kefu.rounds": len(turn.rounds)}


def _fit_facts(turn: Turn) -> Attributes:
    return {
        "kefu.prompt_tokens": len(turn.input_ids),
        "kefu.prompt_pictures": len(turn.prompt_pictures),
        "kefu.dropped_rounds": turn.dropped_rounds,
    }


def _turn_facts(turn: Turn) -> Attributes:
    return {
        "gen_ai.request.model": turn.card.name,
        "kefu.joined_requests": 1 if turn.claim is None else len(turn.claim.request_ids),
        "kefu.language": turn.language,
    }


def _infer_facts(turn: Turn) -> Attributes:
    text, visual, completion = turn.usage
    facts: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "nvidia.triton",
        "gen_ai.request.model": turn.card.name,
        "gen_ai.response.finish_reasons": [turn.finish_reason] if turn.finish_reason else [],
        "gen_ai.usage.input_tokens": text + visual,
        "gen_ai.usage.output_tokens": completion,
        "kefu.visual_tokens": visual,
        "kefu.cached": turn.cached,
    }
    sampling = turn.sampling
    if sampling is not None:
        facts["gen_ai.request.max_tokens"] = sampling.max_tokens
        facts["gen_ai.request.temperature"] = sampling.temperature
        facts["gen_ai.request.top_p"] = sampling.top_p
        if sampling.seed is not None:
            facts["gen_ai.request.seed"] = sampling.seed
    return facts


_FACTS: Mapping[str, Callable[[Turn], Attributes]] = {
    "gather": _gather_facts,
    "recall": _recall_facts,
    "fit": _fit_facts,
    "infer": _infer_facts,
}
