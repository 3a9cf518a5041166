"""A gateway for the client's tests: real gRPC on a real port or socket, with answers that the test writes.

with FakeGateway() as gateway:
    gateway.will(Delta(text="你好"), Answer(text="你好"))
    with KefuClient(gateway.address) as kefu:
        assert kefu.ask("hi").text == "你好"
    assert gateway.calls[0].question.parts[0].text == "hi"

A question for which nothing was written fails, and so does a test that leaves written answers unused. Over `Converse`
the same answers are given, one a question. Sessions and uploads are kept like a gateway would, in memory.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NoReturn, Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from kefu.chat.v1 import chat_service_pb2 as chat
from kefu.chat.v1 import chat_service_pb2_grpc, model_service_pb2_grpc, session_service_pb2_grpc
from kefu.chat.v1.answer_pb2 import Answer
from kefu.chat.v1.chat_service_pb2 import Delta, KeepAlive
from kefu.chat.v1.model_service_pb2 import ListModelsResponse
from kefu.chat.v1.question_pb2 import Question
from kefu.media.v1 import media_service_pb2_grpc
from kefu.media.v1.picture_pb2 import PictureReport
from kefu_common.errors import KefuError, Reason
from tests.fakes.gateway_memory import Sessions, Uploads, refuse

# Far more than anything here needs: it ends a test that hangs.
PATIENCE_S = 60.0


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
    """A bare status without any detail, as a proxy would send it. It ends the call, and a live stream as well."""

    code: grpc.StatusCode
    text: str


Happening = PictureReport | Delta | Answer
Step = Happening | Gate | KefuError | Status | KeepAlive


class _StatusError(Exception):
    def __init__(self, status: Status) -> None:
        super().__init__(status.text)
        self.status = status


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
    """Serves everything that a gateway serves.

    Attributes:
        calls: every question that arrived, in order, whichever way it came.
        starts: how each live stream began. `converses`: False for a gateway without `Converse`.
        sessions: the turns of each session.
        uploads: what was received, and where it breaks off.
    """

    def __init__(
        self,
        address: str = "127.0.0.1:0",
        credentials: grpc.ServerCredentials | None = None,
        message_bytes: int = 21 * 1024 * 1024,
    ) -> None:
        self.calls: list[Call] = []
        self.starts: list[chat.ConverseStart] = []
        self.converses = True
        self.models = ListModelsResponse()
        self._sessions = Sessions()
        self.sessions = self._sessions.turns
        self.uploads = Uploads()
        self._scripts: deque[tuple[Step, ...]] = deque()
        self._unexpected: list[str] = []
        self._changed = threading.Condition()
        self._health = health.HealthServicer()
        self._server = grpc.server(
            futures.ThreadPoolExecutor(8),
            options=[("grpc.max_receive_message_length", message_bytes), ("grpc.so_reuseport", 0)],
        )
        for add, servicer in (
            (chat_service_pb2_grpc.add_ChatServiceServicer_to_server, _Chat(self)),
            (model_service_pb2_grpc.add_ModelServiceServicer_to_server, _Models(self)),
            (session_service_pb2_grpc.add_SessionServiceServicer_to_server, self._sessions),
            (media_service_pb2_grpc.add_MediaServiceServicer_to_server, self.uploads),
            (health_pb2_grpc.add_HealthServicer_to_server, self._health),
        ):
            add(servicer, self._server)
        if credentials is None:
            port = self._server.add_insecure_port(address)
        else:
            port = self._server.add_secure_port(address, credentials)
        unix = address.startswith("unix:")
        self.address = address if unix else f"{address.rpartition(':')[0]}:{port}"

    def will(self, *steps: Step) -> None:
        """What the next question that has nothing written for it yet gets, step by step."""
        self._scripts.append(steps)

    def is_healthy(self, service: str, healthy: bool = True) -> None:
        """What the health service says of `service`."""
        states = health_pb2.HealthCheckResponse
        self._health.set(service, states.SERVING if healthy else states.NOT_SERVING)

    def wait_for_call(self, number: int = 1) -> Call:
        """The question with this number, from 1, as soon as it has arrived."""
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

    def arrived(self, method: str, question: Question, context: grpc.ServicerContext) -> Call:
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        call = Call(method, question, metadata, context.time_remaining() or float("inf"))
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()
        return call

    def play(self, call: Call) -> Iterator[Happening | KeepAlive]:
        """The answer that was written for this question. Raises KefuError, _StatusError where the test wrote one."""
        try:
            script = self._scripts.popleft()
        except IndexError:
            self._unexpected.append(call.method)
            raise _StatusError(
                Status(grpc.StatusCode.UNKNOWN, "the test wrote no answer for this call")
            ) from None
        for step in script:
            match step:
                case Gate():
                    step.wait(call)
                    if call.over.is_set():
                        return
                case KefuError():
                    call.played = True
                    raise step
                case Status():
                    call.played = True
                    raise _StatusError(step)
                case _:
                    yield step
        call.played = True


class _Chat(chat_service_pb2_grpc.ChatServiceServicer):
    def __init__(self, gateway: FakeGateway) -> None:
        self._gateway = gateway

    def Chat(self, request: Any, context: grpc.ServicerContext) -> chat.ChatResponse:
        answer = Answer()
        for step in self._play("Chat", request.question, context):
            if isinstance(step, Answer):
                answer = step
        return chat.ChatResponse(answer=answer)

    def StreamChat(
        self, request: Any, context: grpc.ServicerContext
    ) -> Iterator[chat.StreamChatResponse]:
        for step in self._play("StreamChat", request.question, context):
            yield chat.StreamChatResponse(**_as_event(step))

    def Converse(
        self, requests: Iterator[chat.ConverseRequest], context: grpc.ServicerContext
    ) -> Iterator[chat.ConverseResponse]:
        if not self._gateway.converses:
            _abort(context, KefuError(Reason.NOT_IMPLEMENTED, "not there", method="Converse"))
        live = _Live(self._gateway, context)
        threading.Thread(target=live.read, args=(requests,), daemon=True).start()
        while (news := live.news.get()) is not None:
            if isinstance(news, Exception):
                _abort(context, news)
            yield news

    def _play(
        self, method: str, question: Question, context: grpc.ServicerContext
    ) -> Iterator[Happening | KeepAlive]:
        call = self._gateway.arrived(method, question, context)
        context.add_callback(call.end)
        try:
            yield from self._gateway.play(call)
        except (KefuError, _StatusError) as error:
            _abort(context, error)


class _Live:
    """One live stream: questions are answered side by side, each from what was written for it."""

    def __init__(self, gateway: FakeGateway, context: grpc.ServicerContext) -> None:
        self.news: queue.SimpleQueue[chat.ConverseResponse | Exception | None] = queue.SimpleQueue()
        self._gateway = gateway
        self._context = context
        self._running: dict[str, Call] = {}
        self._players: list[threading.Thread] = []
        context.add_callback(self._gone)

    def read(self, requests: Iterator[chat.ConverseRequest]) -> None:
        try:
            for request in requests:
                match request.WhichOneof("action"):
                    case "start":
                        self._gateway.starts.append(request.start)
                    case "question":
                        self._ask(request.question)
                    case "cancel":
                        self._cancel(request.cancel.request_id)
        except grpc.RpcError:
            return  # the caller has gone
        for player in self._players:
            player.join(PATIENCE_S)
        self.news.put(None)

    def _ask(self, question: Question) -> None:
        call = self._gateway.arrived("Converse", question, self._context)
        self._running[question.request_id] = call
        self._players.append(threading.Thread(target=self._answer, args=(call,), daemon=True))
        self._players[-1].start()

    def _answer(self, call: Call) -> None:
        request_id = call.question.request_id
        try:
            for step in self._gateway.play(call):
                named = "" if isinstance(step, KeepAlive) else request_id
                self.news.put(chat.ConverseResponse(request_id=named, **_as_event(step)))
            if call.cancelled.is_set():
                raise KefuError(Reason.TURN_CANCELLED, "the turn was cancelled by its caller")
        except KefuError as error:
            metadata = {**error.metadata, **({"field": error.field} if error.field else {})}
            told = chat.ConverseError(
                reason=error.reason.value, message=error.message, metadata=metadata
            )
            self.news.put(chat.ConverseResponse(request_id=request_id, error=told))
        except _StatusError as error:
            self.news.put(error)
        del self._running[request_id]

    def _cancel(self, request_id: str) -> None:
        for one in [request_id] if request_id else list(self._running):
            if one in self._running:
                self._running[one].end()

    def _gone(self) -> None:
        for call in list(self._running.values()):
            call.end()
        self.news.put(None)


def _as_event(step: Happening | KeepAlive) -> Any:
    """The step as the field of a response that it is."""
    kinds = {PictureReport: "picture", Delta: "delta", Answer: "answer", KeepAlive: "keep_alive"}
    return {kinds[type(step)]: step}


def _abort(context: grpc.ServicerContext, error: Exception) -> NoReturn:
    if isinstance(error, KefuError):
        refuse(context, error)
    assert isinstance(error, _StatusError), error
    context.abort(error.status.code, error.status.text)


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, gateway: FakeGateway) -> None:
        self._gateway = gateway

    def ListModels(self, request: Any, context: grpc.ServicerContext) -> ListModelsResponse:
        return self._gateway.models
