"""A gateway for the client's tests: real gRPC on a real port or socket, with answers that the test writes.

with FakeGateway() as gateway:
    gateway.will(Delta(text="你好"), Answer(text="你好"))
    with KefuClient(gateway.address) as kefu:
        assert kefu.ask("hi").text == "你好"
    assert gateway.calls[0].question.parts[0].text == "hi"

A call for which nothing was written fails, and so does a test that leaves written answers unused.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from kefu.chat.v1 import chat_service_pb2_grpc, model_service_pb2_grpc
from kefu.chat.v1.answer_pb2 import Answer
from kefu.chat.v1.chat_service_pb2 import ChatResponse, Delta, StreamChatResponse
from kefu.chat.v1.model_service_pb2 import ListModelsResponse
from kefu.chat.v1.question_pb2 import Question
from kefu.media.v1.picture_pb2 import PictureReport
from kefu_common.errors import KefuError
from kefu_common.status import to_rpc_status

# Far more than anything here needs: it ends a test that hangs.
PATIENCE_S = 20.0


class Gate:
    """A place in an answer where the gateway waits until the test opens it, or until the caller has gone."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def open(self) -> None:
        self._open.set()

    def wait(self, call: Call) -> None:
        call.on_over(self._open)
        self.reached.set()
        assert self._open.wait(PATIENCE_S), "the test never opened the gate"


@dataclass(frozen=True)
class Status:
    """A bare status without any detail, as a proxy would send it."""

    code: grpc.StatusCode
    text: str


Step = PictureReport | Delta | Answer | Gate | KefuError | Status


@dataclass
class Call:
    """What arrived, and whether the caller gave up on it."""

    method: str
    question: Question
    metadata: dict[str, str]
    seconds_left: float
    cancelled: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    played: bool = False
    _waiting: list[threading.Event] = field(default_factory=list)

    def on_over(self, event: threading.Event) -> None:
        """Sets `event` when the call is over, also when it already is."""
        self._waiting.append(event)
        if self.over.is_set():
            event.set()

    def end(self) -> None:
        """The call is over. Where its answer was not played to the end, it was the caller who ended it."""
        if not self.played:
            self.cancelled.set()
        self.over.set()
        for event in self._waiting:
            event.set()


class FakeGateway:
    """Serves ChatService, ModelService and grpc.health.v1."""

    def __init__(
        self,
        address: str = "127.0.0.1:0",
        credentials: grpc.ServerCredentials | None = None,
        message_bytes: int = 21 * 1024 * 1024,
    ) -> None:
        self.calls: list[Call] = []
        self.models = ListModelsResponse()
        self._scripts: deque[tuple[Step, ...]] = deque()
        self._unexpected: list[str] = []
        self._changed = threading.Condition()
        self._health = health.HealthServicer()
        self._server = grpc.server(
            futures.ThreadPoolExecutor(8),
            options=[("grpc.max_receive_message_length", message_bytes), ("grpc.so_reuseport", 0)],
        )
        add_chat: Any = chat_service_pb2_grpc.add_ChatServiceServicer_to_server
        add_chat(_Chat(self), self._server)
        add_models: Any = model_service_pb2_grpc.add_ModelServiceServicer_to_server
        add_models(_Models(self), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if credentials is None:
            port = self._server.add_insecure_port(address)
        else:
            port = self._server.add_secure_port(address, credentials)
        unix = address.startswith("unix:")
        self.address = address if unix else f"{address.rpartition(':')[0]}:{port}"

    def will(self, *steps: Step) -> None:
        """What the next call that has nothing written for it yet gets, step by step."""
        self._scripts.append(steps)

    def is_healthy(self, service: str, healthy: bool = True) -> None:
        """What the health service says of `service`."""
        states = health_pb2.HealthCheckResponse
        self._health.set(service, states.SERVING if healthy else states.NOT_SERVING)

    def wait_for_call(self, number: int = 1) -> Call:
        """The call with this number, from 1, as soon as it has arrived."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.calls) >= number, PATIENCE_S)
            return self.calls[number - 1]

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.stop(None).wait(PATIENCE_S)
        if error is None:
            assert not self._unexpected, (
                f"calls that nobody wrote an answer for: {self._unexpected}"
            )
            assert not self._scripts, f"answers that nobody asked for: {list(self._scripts)}"

    def play(
        self, method: str, question: Question, context: grpc.ServicerContext
    ) -> Iterator[StreamChatResponse]:
        call = self._arrived(method, question, context)
        try:
            script = self._scripts.popleft()
        except IndexError:
            self._unexpected.append(method)
            context.abort(grpc.StatusCode.UNKNOWN, "the test wrote no answer for this call")
        for step in script:
            match step:
                case Gate():
                    step.wait(call)
                    if call.over.is_set():
                        return
                case KefuError():
                    call.played = True
                    context.abort_with_status(to_rpc_status(step))
                case Status():
                    call.played = True
                    context.abort(step.code, step.text)
                case PictureReport():
                    yield StreamChatResponse(picture=step)
                case Delta():
                    yield StreamChatResponse(delta=step)
                case Answer():
                    yield StreamChatResponse(answer=step)
        call.played = True

    def _arrived(self, method: str, question: Question, context: grpc.ServicerContext) -> Call:
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        call = Call(method, question, metadata, context.time_remaining())
        context.add_callback(call.end)
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()
        return call


class _Chat(chat_service_pb2_grpc.ChatServiceServicer):
    def __init__(self, gateway: FakeGateway) -> None:
        self._gateway = gateway

    def Chat(self, request: Any, context: grpc.ServicerContext) -> ChatResponse:
        answer = Answer()
        for response in self._gateway.play("Chat", request.question, context):
            answer = response.answer
        return ChatResponse(answer=answer)

    def StreamChat(
        self, request: Any, context: grpc.ServicerContext
    ) -> Iterator[StreamChatResponse]:
        return self._gateway.play("StreamChat", request.question, context)


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, gateway: FakeGateway) -> None:
        self._gateway = gateway

    def ListModels(self, request: Any, context: grpc.ServicerContext) -> ListModelsResponse:
        return self._gateway.models
