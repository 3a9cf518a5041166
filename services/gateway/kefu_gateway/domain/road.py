"""The road of one message: its stages in order, each timed under its name. Read this file first.

    async for event in road.travel(question, seconds=30.0): ...

The first half belongs to a request: admit, gather, join. The second half belongs to a turn, which may join several
requests of a session: recall, compose, fit, infer, judge, remember.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import Protocol

from kefu_common.calls import rename
from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.accounts import Accounts
from kefu_gateway.domain.answer import Answer, Answered, Delta, Event
from kefu_gateway.domain.card import ModelCard, find_card
from kefu_gateway.domain.deadline import Deadline
from kefu_gateway.domain.ports import Telemetry
from kefu_gateway.domain.question import Limits, Question, language_of
from kefu_gateway.domain.session import SessionKey
from kefu_gateway.domain.spans import NoSpans, Spans
from kefu_gateway.domain.stages.base import Quiet, Stage
from kefu_gateway.domain.turn import Turn
from kefu_gateway.domain.turnstile import Turnstile


class Half:
    """A few stages in order. A stage inside another one is not counted twice: join runs the turn's, or awaits them."""

    def __init__(
        self, stages: Sequence[Stage], telemetry: Telemetry, spans: Spans | None = None
    ) -> None:
        self._stages = stages
        self._telemetry = telemetry
        self._spans = spans or NoSpans()

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        for stage in self._stages:
            start = time.perf_counter()
            inside = sum(turn.timings.values())
            try:
                with self._spans.stage(stage.name, turn):
                    if isinstance(stage, Quiet):
                        await stage.do(turn)
                    else:
                        async with aclosing(stage.run(turn)) as events:
                            async for event in events:
                                yield event
            finally:
                self._note(turn, stage.name, time.perf_counter() - start, inside)

    def _note(self, turn: Turn, name: str, seconds: float, inside: float) -> None:
        elsewhere = sum(turn.timings.values()) - inside + turn.awaited
        turn.awaited = 0.0
        milliseconds = max(0.0, seconds * 1000 - elsewhere)
        turn.timings[name] = milliseconds
        self._telemetry.stage(name, milliseconds / 1000)


class TurnHalf(Half):
    """recall … remember: ends with the answer."""

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        with self._spans.turn(turn):
            async with aclosing(super().run(turn)) as events:
                async for event in events:
                    yield event
        assert turn.answer is not None
        self._telemetry.turn(turn.answer)
        yield Answered(replace(turn.answer, timings=dict(turn.timings)))


class Way(Protocol):
    """What answers questions: the road, or something around it."""

    def travel(
        self, question: Question, *, seconds: float | None
    ) -> AsyncGenerator[Event, None]: ...


class Road:
    """Takes questions from the door to the answer. `requests`: admit, gather, join."""

    def __init__(
        self,
        *,
        cards: Mapping[str, ModelCard],
        default_model: str,
        limits: Limits,
        requests: Half,
        accounts: Accounts,
        telemetry: Telemetry,
    ) -> None:
        self._cards = cards
        self._default_model = default_model
        self._limits = limits
        self._requests = requests
        self._accounts = accounts
        self._telemetry = telemetry
        self._turnstile = Turnstile()

    async def travel(
        self, question: Question, *, seconds: float | None
    ) -> AsyncGenerator[Event, None]:
        """Answers one question within `seconds` (the caller's deadline; None: the server's own limit).

        The last event is Answered. Closing the iterator cancels everything upstream. Raises KefuError.
        """
        rename(question.request_id)
        limit = self._limits.turn_seconds
        first: float | None = None
        async with AsyncExitStack() as resources:
            outcome = resources.enter_context(_Outcome(self._telemetry))
            account = resources.enter_context(self._accounts.open(question.tenant))
            ticket = None
            if question.session_id:
                key = SessionKey(question.tenant, question.session_id)
                ticket = resources.enter_context(self._turnstile.ticket(key))
            turn = Turn(
                question=question,
                card=find_card(self._cards, question.model, self._default_model),
                deadline=Deadline.after(limit if seconds is None else min(seconds, limit)),
                language=language_of(question.text, question.language),
                resources=resources,
                started=time.perf_counter(),
                arrived_at=time.time(),
                ticket=ticket,
                account=account,
            )
            outcome.deadline = turn.deadline
            async with aclosing(self._requests.run(turn)) as events:
                async for event in events:
                    account.hear(event)
                    if isinstance(event, Delta) and first is None:
                        first = time.perf_counter()
                        self._telemetry.first_token(turn.card.name, first - turn.started)
                    if not isinstance(event, Answered):
                        yield event
            assert turn.answer is not None
            self._tell(turn, turn.answer, first)
            outcome.answered = True
            yield Answered(replace(turn.answer, timings=_in_order(turn, turn.answer)))

    def _tell(self, turn: Turn, answer: Answer, first: float | None) -> None:
        now = time.perf_counter()
        usage = answer.usage
        self._telemetry.answered(
            turn.card.name,
            now - turn.started,
            0.0 if first is None else now - first,
            {
                "text": usage.prompt_text_tokens,
                "visual": usage.visual_tokens,
                "completion": usage.completion_tokens,
            },
        )


# Seconds by which gRPC may end a call before our own clock says that its deadline has passed.
_SAME_MOMENT = 0.1


class _Outcome:
    """Tells once how a question ended: answered when its answer was handed over, whatever the caller does then."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self.answered = False
        self.deadline: Deadline | None = None

    def __enter__(self) -> _Outcome:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if self.answered:
            self._telemetry.question("answered")
        elif isinstance(error, KefuError):
            self._telemetry.question(error.reason.value)
        elif isinstance(error, Exception):
            self._telemetry.question(Reason.INTERNAL.value)
        elif self.deadline is not None and self.deadline.remaining() < _SAME_MOMENT:
            # gRPC cancels a call whose deadline passes: to whoever waited in vain that is no leaving.
            self._telemetry.question(Reason.DEADLINE_EXCEEDED.value)
        else:
            self._telemetry.question("cancelled")


def _in_order(turn: Turn, answer: Answer) -> dict[str, float]:
    """The request's stages, then the turn's."""
    timings = {**answer.timings, **turn.timings}
    order = ("admit", "gather", "join")
    return {
        **{stage: timings.pop(stage) for stage in order if stage in timings},
        **timings,
    }
