"""The client: one connection, one method a thing that one can ask."""

from __future__ import annotations

import uuid
from enum import IntEnum
from types import TracebackType
from typing import Any, Self, Unpack

import grpc

from kefu.chat.v1.answer_pb2 import Answer
from kefu.chat.v1.chat_service_pb2 import ChatRequest, StreamChatRequest
from kefu.chat.v1.chat_service_pb2_grpc import ChatServiceStub
from kefu.chat.v1.model_service_pb2 import ListModelsRequest, ListModelsResponse
from kefu.chat.v1.model_service_pb2_grpc import ModelServiceStub
from kefu.chat.v1.question_pb2 import Part, Question
from kefu_client import foreign
from kefu_client.channel import DEFAULT_ADDRESS, MESSAGE_BYTES, Tls, connect
from kefu_client.errors import InputError, KefuCallError
from kefu_client.question import Settings, question
from kefu_client.retries import OnRetry, Retries
from kefu_client.stream import AnswerStream

# Small calls (models, health) answer from memory: more than this means that something is wrong.
_SMALL_CALL_SECONDS = 10.0


class Health(IntEnum):
    """Whether a service can work: the numbers of grpc.health.v1."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


class KefuClient:
    """Asks one Kefu gateway. Safe for threads; keep one for the whole process, it holds the connection.

        with KefuClient("gateway:50051", token=os.environ["KEFU_TOKEN"], tls=Tls()) as kefu:
            print(kefu.ask("多少钱?", picture("order.png")).text)

    Args:
        address: "HOST:PORT" or "unix:PATH".
        tls: how to trust the server; None: no TLS (inside a cluster, on a unix socket).
        token: an API key or a bearer token, sent as `authorization: Bearer …` with every call. Empty: none is sent.
            Without TLS it travels in the clear.
        timeout: seconds that a question may take, its repetitions included.
        attempts: how often a question is tried in all when the server says "not now, later" before the first event.
        on_retry: told of every repetition: why, and how many seconds until then.

    Raises InputError for an address that is none, OSError for a certificate file that cannot be read. Connecting
    happens with the first call.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        tls: Tls | None = None,
        token: str = "",
        timeout: float = 120.0,
        attempts: int = 3,
        on_retry: OnRetry | None = None,
    ) -> None:
        if not _is_plain(token):
            raise InputError("the token has characters that no token has (line breaks, umlauts)")
        self._channel = connect(address, tls)
        self._timeout = timeout
        self._attempts = attempts
        self._on_retry = on_retry
        self._token = token
        self._message_bytes = MESSAGE_BYTES
        # The generated stubs carry no types.
        self._chat: Any = ChatServiceStub(self._channel)
        self._models: Any = ModelServiceStub(self._channel)
        self._health = self._channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=foreign.HealthCheckRequest.SerializeToString,
            response_deserializer=foreign.HealthCheckResponse.FromString,
        )

    def ask(
        self, *parts: str | Part, timeout: float | None = None, **settings: Unpack[Settings]
    ) -> Answer:
        """Asks, and gives the whole answer.

            kefu.ask("为什么被拒?", picture("refund.png"), temperature=0, session_id="c-17")

        `timeout` in seconds wins over the client's. Raises KefuCallError, InputError.
        """
        sent = self._prepared(question(*parts, **settings))
        retries = self._retries(timeout)
        while True:
            call = self._chat.Chat.future(
                ChatRequest(question=sent),
                timeout=retries.remaining(),
                metadata=self._metadata(sent.request_id),
            )
            try:
                answer: Answer = call.result().answer
                return answer
            except grpc.RpcError as failure:
                error = KefuCallError.of(failure, sent.request_id)
            finally:
                # Ctrl-C while waiting: the server stops now, and not when the client is closed or collected. Nothing
                # happens to a call that has ended.
                call.cancel()
            retries.wait(error)

    def stream(
        self, *parts: str | Part, timeout: float | None = None, **settings: Unpack[Settings]
    ) -> AnswerStream:
        """Asks, and gives the answer as it comes; see `AnswerStream`.

        Raises InputError; iterating raises KefuCallError.
        """
        sent = self._prepared(question(*parts, **settings))

        def start(seconds: float) -> Any:
            return self._chat.StreamChat(
                StreamChatRequest(question=sent),
                timeout=seconds,
                metadata=self._metadata(sent.request_id),
            )

        return AnswerStream(start, self._retries(timeout), sent.request_id)

    def models(self, *, timeout: float = _SMALL_CALL_SECONDS) -> ListModelsResponse:
        """What is hosted, and the server's limits. Raises KefuCallError."""
        try:
            response: ListModelsResponse = self._models.ListModels(
                ListModelsRequest(), timeout=timeout, metadata=self._metadata()
            )
        except grpc.RpcError as failure:
            raise KefuCallError.of(failure) from failure
        return response

    def health(self, service: str = "", *, timeout: float = _SMALL_CALL_SECONDS) -> Health:
        """Whether `service` can work; empty: the gateway as a whole.

        Others: "kefu.chat.v1.ChatService", "kefu.dependency.triton", "kefu.dependency.preprocess". A name that the
        server does not know is SERVICE_UNKNOWN. Raises KefuCallError.
        """
        try:
            response = self._health(
                foreign.HealthCheckRequest(service=service),
                timeout=timeout,
                metadata=self._metadata(),
            )
        except grpc.RpcError as failure:
            if failure.code() is grpc.StatusCode.NOT_FOUND:
                return Health.SERVICE_UNKNOWN
            raise KefuCallError.of(failure) from failure
        # A number of a future version says nothing that a caller could rely on.
        return Health(response.status) if response.status in set(Health) else Health.UNKNOWN

    def close(self) -> None:
        """Ends the connection; calls that still run end with CANCELLED."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _retries(self, timeout: float | None) -> Retries:
        seconds = self._timeout if timeout is None else timeout
        return Retries(self._attempts, seconds, self._on_retry)

    def _metadata(self, request_id: str = "") -> tuple[tuple[str, str], ...]:
        pairs = []
        if self._token:
            pairs.append(("authorization", f"Bearer {self._token}"))
        # So that the server's log lines, from the first on, carry the caller's id. An id that no header can carry is
        # left to the server to refuse, which names the field.
        if request_id and _is_plain(request_id):
            pairs.append(("x-request-id", request_id))
        return tuple(pairs)

    def _prepared(self, asked: Question) -> Question:
        """The question with an id that makes repeating it safe, and small enough to be sent."""
        if not asked.request_id:
            asked.request_id = uuid.uuid4().hex
        # A few bytes for the request around the question.
        size = asked.ByteSize() + 16
        if size > self._message_bytes:
            self._message_bytes = max(MESSAGE_BYTES, self.models().limits.message_bytes)
        if size > self._message_bytes:
            raise InputError(
                f"the question has {size / 2**20:.1f} MiB, and a message may have "
                f"{self._message_bytes / 2**20:.1f} MiB: send fewer or smaller pictures"
            )
        return asked


def _is_plain(text: str) -> bool:
    """True for what may stand in a header: gRPC's own refusal of anything else would name neither field nor reason."""
    return text.isascii() and text.isprintable()
