"""infer: token ids and pictures to the model host; the answer comes back piece by piece."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from kefu_gateway.domain.answer import Delta, Event
from kefu_gateway.domain.ports import Inference, ModelHost
from kefu_gateway.domain.stages.base import Telling
from kefu_gateway.domain.turn import Turn


class Infer(Telling):
    name = "infer"

    def __init__(self, host: ModelHost) -> None:
        self._host = host

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        assert turn.sampling is not None
        inference = Inference(
            model=turn.card.name,
            input_ids=turn.input_ids,
            pictures=[picture.data for picture in turn.prompt_pictures],
            picture_ids=[picture.id for picture in turn.prompt_pictures],
            sampling=turn.sampling,
            tenant=turn.question.tenant,
            debug=turn.question.debug,
            streamed=turn.question.streamed,
        )
        timeout = turn.deadline.check(self.name)
        # aclosing: a caller that leaves closes this generator, and that must cancel the work in the host at once.
        async with aclosing(self._host.infer(inference, timeout=timeout)) as chunks:
            async for chunk in chunks:
                if (chunk.token_ids or chunk.text) and turn.first_token_at is None:
                    turn.first_token_at = time.perf_counter()
                turn.text += chunk.text
                turn.cached = chunk.cached
                turn.logprobs.extend(chunk.logprobs)
                if chunk.finish_reason:
                    turn.finish_reason = chunk.finish_reason
                    turn.details = dict(chunk.details)
                    turn.usage = chunk.usage
                if chunk.text:
                    yield Delta(chunk.text, len(chunk.token_ids))
