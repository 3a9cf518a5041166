"""A live session: questions go in while answers come out, on one stream."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, Unpack

import grpc

from kefu.chat.v1.answer_pb2 import Answer
from kefu.chat.v1.chat_service_pb2 import (
    ConverseCancel,
    ConverseError,
    ConverseRequest,
    ConverseResponse,
    ConverseStart,
    Delta,
)
from kefu.chat.v1.question_pb2 import Part, Question
from kefu.media.v1.picture_pb2 import PictureReport
from kefu_client.caller import Caller
from kefu_client.errors import KefuCallError
from kefu_client.question import Settings, question

_SLICE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class News:
    """Something that happened to one request of a live session.

    `event` is a PictureReport, a Delta, the whole Answer (the request's last), or the KefuCallError with which it
    failed (its last as well). Such an error has a reason and no status of its own: its code is UNKNOWN.
    """

    request_id: str
    event: PictureReport | Delta | Answer | KefuCallError


class Conversation:
    """What `KefuClient.converse` gives: send parts as the customer does, and read what comes.

        with kefu.converse("c-17") as talk:
            talk.send(picture("order.png"))
            asked = talk.send("多少钱?")
            for news in talk:
                if isinstance(news.event, Delta):
                    print(news.event.text, end="", flush=True)
                elif isinstance(news.event, KefuCallError):
                    print(news.request_id, "failed:", news.event.reason)
                elif isinstance(news.event, Answer) and news.request_id == asked:
                    break

    Parts that are sent before the first word of an answer join it: each request then gets the one answer, with its own
    id. Leaving the `with` block ends the stream; what was asked is answered and remembered all the same, unless it was
    cancelled. `send`, `cancel` and `finish` may be called from any thread; reading belongs to one, and may go on after
    a KeyboardInterrupt.
    """

    def __init__(
        self, caller: Caller, method: Any, session_id: str, resume_request_id: str
    ) -> None:
        self.session_id = session_id
        self._caller = caller
        self._actions: queue.SimpleQueue[ConverseRequest | None] = queue.SimpleQueue()
        self._news: queue.SimpleQueue[News | _End] = queue.SimpleQueue()
        self._end: _End | None = None
        start = ConverseStart(session_id=session_id, resume_request_id=resume_request_id)
        self._actions.put(ConverseRequest(start=start))
        # No deadline: a chat window may stay open for a day. A connection that died is found by keep-alive.
        self._call = method(iter(self._actions.get, None), metadata=caller.metadata())
        # gRPC's own thread waits for the next action: it must not wait for ever once the call is over.
        if not self._call.add_callback(self.finish):
            self.finish()
        # A thread of ours reads, because gRPC cannot take up a read that Ctrl-C has interrupted.
        threading.Thread(target=self._read, name="kefu-converse", daemon=True).start()

    @property
    def is_open(self) -> bool:
        """False when the stream has ended, for whatever reason; what came before can still be read."""
        return bool(self._call.is_active())

    def send(self, *parts: str | Part, **settings: Unpack[Settings]) -> str:
        """Sends what the customer has sent, and gives the request's id.

            asked = talk.send("为什么被拒?", picture("refund.png"), temperature=0)

        `session_id` among the settings is passed over: the stream has one. Raises InputError; what goes wrong at the
        server comes as news.
        """
        sent = question(*parts, **settings)
        sent.session_id = ""
        return self.send_question(sent)

    def send_question(self, asked: Question) -> str:
        """The same for a question that is there already. Raises InputError."""
        asked = self._caller.prepared(asked)
        self._actions.put(ConverseRequest(question=asked))
        return asked.request_id

    def cancel(self, request_id: str = "") -> None:
        """Stops one request, or with "" whatever is running; its last news is an error with reason TURN_CANCELLED."""
        self._actions.put(ConverseRequest(cancel=ConverseCancel(request_id=request_id)))

    def finish(self) -> None:
        """Says that nothing more will be sent; reading ends when everything has been answered."""
        self._actions.put(None)

    def receive(self, timeout: float | None = None) -> News | None:
        """The next news; None when the stream has ended.

        Raises KefuCallError when the stream broke off, and with code DEADLINE_EXCEEDED when nothing came for `timeout`
        seconds (None: waits as long as it takes); then the stream goes on.
        """
        if self._end is None:
            item = self._wait(timeout)
            if isinstance(item, News):
                return item
            self._end = item
        if self._end.error is not None:
            raise self._end.error
        return None

    def close(self) -> None:
        """Ends the stream now."""
        self._call.cancel()

    def _wait(self, timeout: float | None) -> News | _End:
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        while True:
            left = max(0.0, deadline - time.monotonic())
            try:
                # In slices: a Ctrl-C in the instant before the wait is noticed after it.
                return self._news.get(timeout=min(left, _SLICE_SECONDS))
            except queue.Empty:
                if left <= _SLICE_SECONDS:
                    raise _too_long() from None

    def _read(self) -> None:
        error: KefuCallError | None = None
        try:
            for response in self._call:
                news = _news(response)
                if news is not None:
                    self._news.put(news)
        except grpc.RpcError as failure:
            error = KefuCallError.of(failure)
        finally:
            self._news.put(_End(error))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> News:
        news = self.receive()
        if news is None:
            raise StopIteration
        return news

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class _End:
    error: KefuCallError | None


def _news(response: ConverseResponse) -> News | None:
    """None for a keep-alive, and for a kind that a newer server has and this client does not know."""
    match response.WhichOneof("event"):
        case "picture":
            return News(response.request_id, response.picture)
        case "delta":
            return News(response.request_id, response.delta)
        case "answer":
            return News(response.request_id, response.answer)
        case "error":
            return News(response.request_id, _error(response.error, response.request_id))
        case _:
            return None


def _error(told: ConverseError, request_id: str) -> KefuCallError:
    metadata = dict(told.metadata)
    return KefuCallError(
        told.reason,
        told.message,
        code=grpc.StatusCode.UNKNOWN,
        field=metadata.pop("field", None),
        metadata=metadata,
        request_id=request_id,
        from_kefu=True,
    )


def _too_long() -> KefuCallError:
    code = grpc.StatusCode.DEADLINE_EXCEEDED
    return KefuCallError(code.name, "nothing came in time", code=code)
