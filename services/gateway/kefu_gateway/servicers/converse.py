"""Converse: one bidirectional stream for a live chat window. Translates; `domain/live.py` does the work."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace

from kefu.chat.v1 import chat_service_pb2 as pb
from kefu_common.errors import KefuError, Reason
from kefu_common.status import retry_after
from kefu_gateway.domain.conversations import Conversations
from kefu_gateway.domain.live import LiveSession, News
from kefu_gateway.domain.question import IDENTIFIER, Limits
from kefu_gateway.domain.road import Way
from kefu_gateway.domain.session import SessionKey
from kefu_gateway.wire.answers import event_to_proto
from kefu_gateway.wire.questions import question_from_proto

Requests = AsyncIterator[pb.ConverseRequest]


class Converser:
    """Opens live sessions. `keep_alive`: seconds of silence after which the caller hears that the stream lives."""

    def __init__(
        self, road: Way, conversations: Conversations, limits: Limits, *, keep_alive: float
    ) -> None:
        self._road = road
        self._conversations = conversations
        self._limits = limits
        self._keep_alive = keep_alive

    async def converse(
        self, requests: Requests, tenant: str, *, check: Callable[[], None]
    ) -> AsyncGenerator[pb.ConverseResponse, None]:
        """`check` is asked before each question whether the caller may still ask; a stream may outlive a key. Raises
        KefuError where the stream does not begin with a start."""
        start = await anext(aiter(requests), None)
        if start is None or start.WhichOneof("action") != "start":
            raise _refused("start", "the first message of a Converse stream must be `start`")
        session_id = start.start.session_id
        if not IDENTIFIER.fullmatch(session_id):
            raise _refused(
                "start.session_id", "session_id must have 1 to 128 of A-Z a-z 0-9 . _ : -"
            )
        key = SessionKey(tenant, session_id)
        live = LiveSession(self._road, self._conversations, key, self._limits)
        if start.start.resume_request_id:
            live.resume(start.start.resume_request_id)
        reading = asyncio.create_task(self._read(requests, key, live, check))
        try:
            async with aclosing(live.news()) as news:
                async for response in self._with_keep_alive(news):
                    yield response
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(
        self, requests: Requests, key: SessionKey, live: LiveSession, check: Callable[[], None]
    ) -> None:
        try:
            async for request in requests:
                match request.WhichOneof("action"):
                    case "question":
                        self._ask(request, key, live, check)
                    case "cancel":
                        await live.cancel(request.cancel.request_id)
        finally:
            live.end()

    def _ask(
        self,
        request: pb.ConverseRequest,
        key: SessionKey,
        live: LiveSession,
        check: Callable[[], None],
    ) -> None:
        request_id = request.question.request_id or uuid.uuid4().hex
        try:
            check()
            asked = question_from_proto(request.question, request_id=request_id, tenant=key.tenant)
        except KefuError as error:
            live.refuse(request_id, error)
            return
        live.ask(replace(asked, session_id=key.session_id, chosen_id=True, leave_when_closed=False))

    async def _with_keep_alive(
        self, news: AsyncGenerator[tuple[str, News], None]
    ) -> AsyncGenerator[pb.ConverseResponse, None]:
        upcoming = asyncio.ensure_future(anext(news, None))
        try:
            while True:
                done, _ = await asyncio.wait({upcoming}, timeout=self._keep_alive)
                if not done:
                    yield pb.ConverseResponse(keep_alive=pb.KeepAlive())
                    continue
                item = upcoming.result()
                if item is None:
                    return
                yield response_of(*item)
                upcoming = asyncio.ensure_future(anext(news, None))
        finally:
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)


def response_of(request_id: str, news: News) -> pb.ConverseResponse:
    if isinstance(news, KefuError):
        metadata = dict(news.metadata)
        if news.field is not None:
            metadata["field"] = news.field
        error = pb.ConverseError(
            reason=news.reason.value,
            message=news.message,
            metadata=metadata,
            retry_milliseconds=round(1000 * (retry_after(news) or 0)),
        )
        return pb.ConverseResponse(request_id=request_id, error=error)
    event = event_to_proto(news)
    kind = event.WhichOneof("event")
    assert kind is not None
    return pb.ConverseResponse(request_id=request_id, **{kind: getattr(event, kind)})


def _refused(field: str, sentence: str) -> KefuError:
    return KefuError(Reason.FIELD_INVALID, sentence, field=field)
