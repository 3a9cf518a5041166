"""One live session: questions go in while answers come out, each under its request's id.

live = LiveSession(road, conversations, key, limits)
live.ask(question); live.cancel("r-1"); await live.resume("r-0")
async for request_id, news in live.news(): ...
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.answer import Event
from kefu_gateway.domain.conversations import Conversations
from kefu_gateway.domain.deadline import Deadline
from kefu_gateway.domain.question import Limits, Question
from kefu_gateway.domain.road import Way
from kefu_gateway.domain.session import SessionKey

log = structlog.get_logger()

# Questions of one stream that may be under way at once: more than a burst, far less than a flood.
MOST_RUNNING = 16

News = Event | KefuError
Stream = AsyncGenerator[Event, None]


class LiveSession:
    """What one open stream asks and hears. When it breaks off, its questions are answered and written down all the
    same: whoever comes back resumes them by their ids."""

    def __init__(
        self, road: Way, conversations: Conversations, key: SessionKey, limits: Limits
    ) -> None:
        self._road = road
        self._conversations = conversations
        self._key = key
        self._limits = limits
        self._running: dict[str, asyncio.Task[None]] = {}
        self._news: asyncio.Queue[tuple[str, News] | None] = asyncio.Queue()
        self._ended = False

    def ask(self, question: Question) -> None:
        """Begins to answer a question of this session."""
        self._begin(question.request_id, self._road.travel(question, seconds=None))

    def resume(self, request_id: str) -> None:
        """Gives the events of a request that an earlier stream sent."""
        deadline = Deadline.after(self._limits.turn_seconds)
        self._begin(request_id, self._conversations.resume(self._key, request_id, deadline))

    def refuse(self, request_id: str, error: KefuError) -> None:
        """Tells that a question could not even be read."""
        self._tell(request_id, error)

    async def cancel(self, request_id: str) -> None:
        """Stops one request, or with "" all that run; each ends with TURN_CANCELLED."""
        for one in [request_id] if request_id else list(self._running):
            task = self._running.get(one)
            if task is None:
                continue
            await self._conversations.cancel(self._key, one)
            task.cancel()
            self._tell(
                one, KefuError(Reason.TURN_CANCELLED, "the turn was cancelled by its caller")
            )

    def end(self) -> None:
        """No more questions come; the news end when the last one is answered."""
        self._ended = True
        self._end_if_idle()

    async def news(self) -> AsyncGenerator[tuple[str, News], None]:
        """What happens, until the end. Closing it stops listening, not answering."""
        try:
            while (news := await self._news.get()) is not None:
                yield news
        finally:
            tasks = list(self._running.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, request_id: str, events: Stream) -> None:
        if request_id in self._running or len(self._running) >= MOST_RUNNING:
            self._tell(
                request_id,
                KefuError(
                    Reason.OVERLOADED,
                    f"at most {MOST_RUNNING} different questions of one stream may run at once",
                    queue="stream",
                    limit=MOST_RUNNING,
                ),
            )
            return
        self._running[request_id] = asyncio.create_task(self._follow(request_id, events))

    async def _follow(self, request_id: str, events: Stream) -> None:
        try:
            async with aclosing(events):
                async for event in events:
                    self._tell(request_id, event)
        except KefuError as error:
            self._tell(request_id, error)
        except Exception:
            log.exception("a live question failed")
            self._tell(request_id, KefuError(Reason.INTERNAL, "something went wrong on our side"))
        finally:
            del self._running[request_id]
            self._end_if_idle()

    def _tell(self, request_id: str, news: News) -> None:
        self._news.put_nowait((request_id, news))

    def _end_if_idle(self) -> None:
        if self._ended and not self._running:
            self._news.put_nowait(None)
