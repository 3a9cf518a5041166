"""ChatService: translates between the wire and the road; decides nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import grpc

from kefu.chat.v1 import chat_service_pb2 as pb
from kefu.chat.v1 import chat_service_pb2_grpc as pb_grpc
from kefu.chat.v1 import question_pb2
from kefu_common.errors import KefuError, Reason
from kefu_common.server import request_id_of
from kefu_gateway.domain.answer import Answered, Event
from kefu_gateway.domain.road import Way
from kefu_gateway.domain.tenants import Caller
from kefu_gateway.servicers.converse import Converser
from kefu_gateway.servicers.door import caller_of, tenant_of
from kefu_gateway.wire.answers import answer_to_proto, event_to_proto
from kefu_gateway.wire.questions import question_from_proto


class ChatServicer(pb_grpc.ChatServiceServicer):
    """The door through which services ask."""

    def __init__(self, road: Way, converser: Converser, still: Callable[[Caller], None]) -> None:
        """`still(caller)` raises KefuError where the credential with which a call was opened is not good any more."""
        self._still = still
        self._road = road
        self._converser = converser

    async def Chat(
        self, request: pb.ChatRequest, context: grpc.aio.ServicerContext
    ) -> pb.ChatResponse:
        async with aclosing(self._travel(request.question, context, streamed=False)) as events:
            async for event in events:
                if isinstance(event, Answered):
                    return pb.ChatResponse(answer=answer_to_proto(event.answer))
        raise KefuError(Reason.INTERNAL, "the road ended without an answer")

    async def StreamChat(
        self, request: pb.StreamChatRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.StreamChatResponse]:
        async with aclosing(self._travel(request.question, context)) as events:
            async for event in events:
                yield event_to_proto(event)

    async def Converse(
        self,
        request_iterator: AsyncIterator[pb.ConverseRequest],
        context: grpc.aio.ServicerContext,
    ) -> AsyncIterator[pb.ConverseResponse]:
        caller = caller_of(context)
        live = self._converser.converse(
            request_iterator, caller.tenant, check=lambda: self._still(caller)
        )
        async with aclosing(live) as responses:
            async for response in responses:
                yield response

    def _travel(
        self,
        question: question_pb2.Question,
        context: grpc.aio.ServicerContext,
        *,
        streamed: bool = True,
    ) -> AsyncGenerator[Event, None]:
        asked = question_from_proto(
            question,
            request_id=request_id_of(context),
            tenant=tenant_of(context),
            streamed=streamed,
        )
        return self._road.travel(asked, seconds=context.time_remaining())
