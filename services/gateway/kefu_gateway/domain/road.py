"""The road of one message: its stages in order, each timed under its name. Read this file first.

async for event in road.travel(question, seconds=30.0): ...
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import Protocol

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.admission import Admission
from kefu_gateway.domain.answer import Answered, Event
from kefu_gateway.domain.card import ModelCard
from kefu_gateway.domain.deadline import Deadline
from kefu_gateway.domain.ports import ModelHost, PicturePreparer, PromptEncoder, Telemetry
from kefu_gateway.domain.question import Limits, Question, language_of
from kefu_gateway.domain.stages.admit import Admit
from kefu_gateway.domain.stages.compose import Compose
from kefu_gateway.domain.stages.fit import Fit
from kefu_gateway.domain.stages.gather import Gather
from kefu_gateway.domain.stages.infer import Infer
from kefu_gateway.domain.stages.judge import Judge
from kefu_gateway.domain.turn import Turn


class Stage(Protocol):
    """One stage: does its thing to the turn and tells events on the way."""

    name: str

    def run(self, turn: Turn) -> AsyncGenerator[Event, None]: ...


class Road:
    """Takes questions from the door to the answer."""

    def __init__(
        self,
        *,
        cards: Mapping[str, ModelCard],
        default_model: str,
        limits: Limits,
        admission: Admission,
        preparer: PicturePreparer,
        encoders: Mapping[str, PromptEncoder],
        host: ModelHost,
        telemetry: Telemetry,
    ) -> None:
        self._cards = cards
        self._default_model = default_model
        self._limits = limits
        self._telemetry = telemetry
        self.stages: Sequence[Stage] = (
            Admit(admission, limits),
            Gather(preparer),
            Compose(),
            Fit(encoders),
            Infer(host, telemetry),
            Judge(),
        )

    async def travel(
        self, question: Question, *, seconds: float | None
    ) -> AsyncGenerator[Event, None]:
        """Answers one question within `seconds` (the caller's deadline; None: the server's own limit).

        The last event is Answered. Closing the iterator cancels everything upstream. Raises KefuError.
        """
        limit = self._limits.turn_seconds
        async with AsyncExitStack() as resources:
            turn = Turn(
                question=question,
                card=self._card(question.model),
                deadline=Deadline.after(limit if seconds is None else min(seconds, limit)),
                language=language_of(question.text, question.language),
                resources=resources,
                started=time.perf_counter(),
            )
            for stage in self.stages:
                async with aclosing(self._timed(stage, turn)) as events:
                    async for event in events:
                        yield event
            assert turn.answer is not None
            self._tell(turn)
            yield Answered(replace(turn.answer, timings=turn.timings))

    async def _timed(self, stage: Stage, turn: Turn) -> AsyncGenerator[Event, None]:
        start = time.perf_counter()
        try:
            async with aclosing(stage.run(turn)) as events:
                async for event in events:
                    yield event
        finally:
            seconds = time.perf_counter() - start
            turn.timings[stage.name] = seconds * 1000
            self._telemetry.stage(stage.name, seconds)

    def _card(self, name: str) -> ModelCard:
        try:
            return self._cards[name or self._default_model]
        except KeyError:
            hosted = ", ".join(self._cards)
            raise KefuError(
                Reason.MODEL_UNKNOWN,
                f"no model of this name is hosted; there are: {hosted}",
                model=name,
                hosted=",".join(self._cards),
            ) from None

    def _tell(self, turn: Turn) -> None:
        now = time.perf_counter()
        text, visual, completion = turn.usage
        self._telemetry.answered(
            turn.card.name,
            now - turn.started,
            0.0 if turn.first_token_at is None else now - turn.first_token_at,
            {"text": text, "visual": visual, "completion": completion},
        )
