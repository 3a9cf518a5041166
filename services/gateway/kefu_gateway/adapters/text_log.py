"""Questions and answers in the log, masked: where an operator switched it on, and nowhere else."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog

from kefu_common.calls import rename
from kefu_common.masking import mask
from kefu_gateway.domain.answer import Answered, Event
from kefu_gateway.domain.question import Question
from kefu_gateway.domain.road import Way

log = structlog.get_logger()


class TextLog:
    """A road that writes down what goes in and what comes out; pictures by their number alone."""

    def __init__(self, road: Way) -> None:
        self._road = road

    async def travel(
        self, question: Question, *, seconds: float | None
    ) -> AsyncGenerator[Event, None]:
        rename(question.request_id)
        async with aclosing(self._road.travel(question, seconds=seconds)) as events:
            asked = mask(question.text)
            log.info("question", text=asked, pictures=len(question.pictures))
            async for event in events:
                if isinstance(event, Answered):
                    log.info("answer", text=mask(event.answer.text))
                yield event
