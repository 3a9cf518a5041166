"""Makes one turn of the requests that a session's holder joins: any gateway can, wherever they were received."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from kefu_gateway.domain.answer import Event
from kefu_gateway.domain.bursts import Arrival
from kefu_gateway.domain.card import ModelCard
from kefu_gateway.domain.deadline import Deadline
from kefu_gateway.domain.payload import from_payload, kept_parts, merged
from kefu_gateway.domain.pictures import PicturesAtHand, PictureShelf
from kefu_gateway.domain.ports import PreparedPicture
from kefu_gateway.domain.question import Question, language_of
from kefu_gateway.domain.session import Entry, SessionKey
from kefu_gateway.domain.turn import Claim, Turn

# A one-off with a request_id has an inbox of its own under this name, which no session can have: sessions have no "~".
ONE_OFF = "~"


class TurnMerger:
    """Implements the port TurnMaker. `run` is the second half of the road, recall to remember."""

    def __init__(
        self,
        *,
        cards: Mapping[str, ModelCard],
        shelf: PictureShelf,
        at_hand: PicturesAtHand,
        run: Callable[[Turn], AsyncGenerator[Event, None]],
        turn_seconds: float,
    ) -> None:
        self._cards = cards
        self._shelf = shelf
        self._at_hand = at_hand
        self._turn_seconds = turn_seconds
        self.run = run

    def arrival(self, entry: Entry) -> Arrival:
        question = from_payload(entry.payload)
        return Arrival(
            request_id=entry.request_id,
            at=entry.arrived_at,
            has_text=bool(question.text.strip()),
            more_to_come=question.more_to_come,
            kind=f"{question.model}|{question.scenario}",
        )

    async def merge(self, key: SessionKey, fence: int, entries: Sequence[Entry]) -> Turn:
        questions = [from_payload(entry.payload) for entry in entries]
        question = merged(questions)
        turn = Turn(
            question=question,
            card=self._cards[question.model],
            deadline=Deadline.after(self._turn_seconds),
            language=language_of(question.text, question.language),
            resources=AsyncExitStack(),
            started=time.perf_counter(),
            claim=Claim(
                key=key,
                fence=fence,
                request_ids=tuple(entry.request_id for entry in entries),
                parts=kept_parts(questions),
                keep_turn=not key.session_id.startswith(ONE_OFF),
            ),
            traces=[each.trace for each in questions],
        )
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._pictures(turn, one)) for one in questions]
        turn.pictures = numbered([task.result() for task in tasks])
        return turn

    async def _pictures(self, turn: Turn, question: Question) -> Sequence[PreparedPicture]:
        """One request's pictures: from its waiting caller's own work, else by hash from the picture store."""
        laid = self._at_hand.take(question.tenant, question.request_id)
        if laid is not None:
            return laid
        timeout = turn.deadline.check("gather")
        parts = [part for _, part in question.pictures]
        found = await asyncio.gather(
            *(
                self._shelf.fetch(
                    question.tenant, part, turn.card, language=turn.language, timeout=timeout
                )
                for part in parts
            )
        )
        return [
            replace(picture, report=replace(picture.report, page=part.page, document=part.document))
            for part, picture in zip(parts, found, strict=True)
        ]


def numbered(requests: Sequence[Sequence[PreparedPicture]]) -> list[PreparedPicture]:
    """The pictures of a turn's requests in order, counted through: each request began its pictures at 0 and its
    documents at 1."""
    pictures: list[PreparedPicture] = []
    before = 0
    for request in requests:
        for picture in request:
            report = picture.report
            document = report.document and before + report.document
            report = replace(report, index=len(pictures), document=document)
            pictures.append(replace(picture, report=report))
        before += max((picture.report.document for picture in request), default=0)
    return pictures
