"""join: parts of one session that arrive together become one turn; a one-off goes on alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from kefu_gateway.domain.answer import Answered, Event
from kefu_gateway.domain.conversations import Conversations
from kefu_gateway.domain.merging import ONE_OFF
from kefu_gateway.domain.payload import fingerprint, to_payload
from kefu_gateway.domain.pictures import PicturesAtHand, PictureShelf
from kefu_gateway.domain.question import Part, Question
from kefu_gateway.domain.session import SessionKey, SessionStore
from kefu_gateway.domain.spans import NoSpans, Spans
from kefu_gateway.domain.stages.base import Telling
from kefu_gateway.domain.turn import Turn


class Join(Telling):
    name = "join"

    def __init__(
        self,
        conversations: Conversations,
        store: SessionStore,
        shelf: PictureShelf,
        at_hand: PicturesAtHand,
        run: Callable[[Turn], AsyncGenerator[Event, None]],
        spans: Spans | None = None,
    ) -> None:
        """`run` is the second half of the road, recall to remember."""
        self._conversations = conversations
        self._store = store
        self._shelf = shelf
        self._at_hand = at_hand
        self._run = run
        self._spans = spans or NoSpans()

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        question = turn.question
        remembered = question.session_id or question.chosen_id
        async with aclosing(self._joined(turn) if remembered else self._run(turn)) as events:
            async for event in events:
                if isinstance(event, Answered):
                    turn.answer = event.answer
                    if remembered:
                        turn.awaited = sum(event.answer.timings.values())
                yield event

    async def _joined(self, turn: Turn) -> AsyncGenerator[Event, None]:
        question = turn.question
        if turn.ticket is not None:
            await turn.ticket.turn()
        kept = await self._kept(question, turn)
        # Another trace, or another way of reading the answer, does not make it another question.
        payload = to_payload(replace(kept, streamed=True))
        mark = fingerprint(payload)
        trace = self._spans.here()
        if trace or not kept.streamed:
            payload = to_payload(replace(kept, trace=trace))
        key = SessionKey(question.tenant, question.session_id or ONE_OFF + question.request_id)
        entry = self._conversations.entry(question.request_id, mark, payload, turn.arrived_at)
        events = self._conversations.answer(
            key,
            entry,
            turn.deadline,
            leave_when_closed=question.leave_when_closed,
            submitted=turn.ticket.passed if turn.ticket is not None else _nothing,
        )
        with self._at_hand.laid(question.tenant, question.request_id, turn.pictures):
            async with aclosing(events):
                async for event in events:
                    yield event

    async def _kept(self, question: Question, turn: Turn) -> Question:
        """The question with its pictures by hash and the model's name filled in. A session's pictures go to the picture
        store, for its later rounds and for other gateways; a one-off's are of no use to anyone afterwards."""
        parts: list[Part] = list(question.parts)
        pictures = question.pictures
        hashes = [picture.report.sha256 for picture in turn.pictures]
        if question.session_id and pictures:
            key = SessionKey(question.tenant, question.session_id)
            await self._store.use_pictures(key, hashes)
            async with asyncio.TaskGroup() as group:
                for data in turn.originals:
                    group.create_task(self._shelf.keep(question.tenant, data))
        for (index, part), sha256 in zip(pictures, hashes, strict=True):
            parts[index] = replace(part, data=None, sha256=sha256, url=None, upload_id=None)
        return replace(question, parts=tuple(parts), model=turn.card.name)


def _nothing() -> None:
    """A one-off stands in no queue."""
