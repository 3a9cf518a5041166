"""The client: one connection, one method a thing that one can ask."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from enum import IntEnum
from types import TracebackType
from typing import Any, Self, Unpack

import grpc

from kefu.chat.v1.answer_pb2 import Answer
from kefu.chat.v1.chat_service_pb2 import ChatRequest, StreamChatRequest
from kefu.chat.v1.chat_service_pb2_grpc import ChatServiceStub
from kefu.chat.v1.model_service_pb2 import ListModelsResponse
from kefu.chat.v1.question_pb2 import Part, Question
from kefu.chat.v1.session_service_pb2 import Session, Turn
from kefu.media.v1.media_service_pb2 import UploadStatus
from kefu_client import foreign
from kefu_client.caller import SMALL_CALL_SECONDS, Caller
from kefu_client.channel import DEFAULT_ADDRESS, Tls, connect
from kefu_client.conversation import Conversation
from kefu_client.errors import KefuCallError
from kefu_client.question import Settings, question
from kefu_client.retries import OnRetry
from kefu_client.sessions import Sessions
from kefu_client.stream import AnswerStream
from kefu_client.uploads import UPLOAD_SECONDS, OnProgress, Uploads


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
        token: an API key or a bearer token, sent as `authorization: Bearer …` with every call; or a function that
            gives it, asked before each call, for tokens that expire. Empty: none is sent. Without TLS it travels in
            the clear.
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
        token: str | Callable[[], str] = "",
        timeout: float = 120.0,
        attempts: int = 3,
        on_retry: OnRetry | None = None,
    ) -> None:
        self._channel = connect(address, tls)
        self._caller = Caller(
            self._channel, token=token, timeout=timeout, attempts=attempts, on_retry=on_retry
        )
        self._sessions = Sessions(self._caller)
        self._uploads = Uploads(self._caller)
        # The generated stubs carry no types.
        self._chat: Any = ChatServiceStub(self._channel)
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
        sent = self._caller.prepared(question(*parts, **settings))
        answer: Answer = self._caller.call(
            self._chat.Chat,
            ChatRequest(question=sent),
            timeout=timeout,
            request_id=sent.request_id,
        ).answer
        return answer

    def stream(
        self, *parts: str | Part, timeout: float | None = None, **settings: Unpack[Settings]
    ) -> AnswerStream:
        """Asks, and gives the answer as it comes; see `AnswerStream`.

        Raises InputError; iterating raises KefuCallError.
        """
        return self.stream_question(question(*parts, **settings), timeout=timeout)

    def stream_question(self, asked: Question, *, timeout: float | None = None) -> AnswerStream:
        """The same for a question that is there already. Raises InputError."""
        sent = self._caller.prepared(asked)

        def start(seconds: float) -> Any:
            return self._chat.StreamChat(
                StreamChatRequest(question=sent),
                timeout=seconds,
                metadata=self._caller.metadata(sent.request_id),
            )

        return AnswerStream(start, self._caller.retries(timeout), sent.request_id)

    def converse(self, session_id: str, *, resume_request_id: str = "") -> Conversation:
        """Opens a live session on one stream; see `Conversation`.

            with kefu.converse("c-17") as talk:
                talk.send("多少钱?", picture("order.png"))
                answers = [news.event for news in talk if isinstance(news.event, Answer)]

        `resume_request_id`: after a broken connection, the last request whose answer may be missing: its answer comes
        first, or an error where nothing is known of it. Opening raises nothing: reading raises KefuCallError, with
        code UNIMPLEMENTED where the server has no live sessions.
        """
        return Conversation(self._caller, self._chat.Converse, session_id, resume_request_id)

    def session(self, session_id: str) -> Session:
        """What is known of a session: its times, and how many turns it holds.

            kefu.session("c-17").turns

        Raises KefuCallError (SESSION_NOT_FOUND).
        """
        return self._sessions.get(session_id)

    def turns(self, session_id: str, *, page_size: int = 50) -> Iterator[Turn]:
        """The turns of a session, oldest first, fetched page by page (1 to 100 turns) as they are read.

            for turn in kefu.turns("c-17"):
                print(turn.number, turn.answer.text)

        Iterating raises KefuCallError (SESSION_NOT_FOUND).
        """
        return self._sessions.turns(session_id, page_size)

    def export(self, session_id: str) -> bytes:
        """The whole transcript as UTF-8 JSON, pictures by their hash.

            Path("c-17.json").write_bytes(kefu.export("c-17"))

        Raises KefuCallError (SESSION_NOT_FOUND).
        """
        return self._sessions.export(session_id)

    def delete(self, session_id: str) -> None:
        """Deletes a session, and the pictures that no other session uses. One that is not there is no error.

            kefu.delete("c-17")

        Raises KefuCallError.
        """
        self._sessions.delete(session_id)

    def upload(
        self,
        source: str | os.PathLike[str] | bytes,
        *,
        media_type: str = "",
        on_progress: OnProgress | None = None,
        timeout: float = UPLOAD_SECONDS,
    ) -> UploadStatus:
        """Uploads a picture or a document of at most 20 MiB, to be used in any number of questions.

            there = kefu.upload("invoice.pdf")
            kefu.ask("多少钱?", uploaded(there.upload_id))

        The same file has the same upload id: one that broke off, also in an earlier run, goes on where it stopped, and
        one that is complete is not sent again. `media_type`: found from the bytes where it is empty. `on_progress` is
        told (bytes sent, bytes in all), possibly from another thread. `timeout` in seconds, for everything together.
        Raises KefuCallError, InputError (an unknown format, a file that is empty or too large), OSError.
        """
        return self._uploads.send(
            source, media_type=media_type, on_progress=on_progress, timeout=timeout
        )

    def download(self, upload_id: str, *, timeout: float = UPLOAD_SECONDS) -> bytes:
        """The bytes of an upload, or of a picture that explains an answer (`Answer.debug`).

            answer = kefu.ask("多少钱?", picture("order.png"), debug=True)
            for one in answer.debug["attention"]:
                Path("seen.webp").write_bytes(kefu.download(one["upload_id"]))

        `timeout` in seconds. Raises KefuCallError.
        """
        return self._uploads.fetch(upload_id, timeout=timeout)

    def models(self, *, timeout: float = SMALL_CALL_SECONDS) -> ListModelsResponse:
        """What is hosted, and the server's limits. Raises KefuCallError."""
        return self._caller.models(timeout)

    def health(self, service: str = "", *, timeout: float = SMALL_CALL_SECONDS) -> Health:
        """Whether `service` can work; empty: the gateway as a whole.

        Others: "kefu.chat.v1.ChatService", "kefu.dependency.triton", "kefu.dependency.preprocess",
        "kefu.dependency.store", and "kefu.dependency.model.<name>" for each hosted model. A name that the server does
        not know is SERVICE_UNKNOWN. Raises KefuCallError.
        """
        try:
            response = self._health(
                foreign.HealthCheckRequest(service=service),
                timeout=timeout,
                metadata=self._caller.metadata(),
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
