"""A streamed answer: events as they come, then the whole answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import grpc

from kefu.chat.v1.answer_pb2 import Answer
from kefu.chat.v1.chat_service_pb2 import Delta, StreamChatResponse
from kefu.media.v1.picture_pb2 import PictureReport
from kefu_client.errors import KefuCallError
from kefu_client.retries import Retries

Event = PictureReport | Delta | Answer


class AnswerStream:
    """What `KefuClient.stream` gives: iterate over it, or over `text()`.

        with kefu.stream("为什么被拒?", picture("refund.png")) as stream:
            for event in stream:
                if isinstance(event, Delta):
                    print(event.text, end="", flush=True)
        print(stream.answer.confidence.score)

    Leaving the `with` block early cancels the call, and the server stops working on it. Iterating raises
    `KefuCallError`. `cancel()` may be called from another thread; everything else belongs to one.
    """

    def __init__(self, start: Callable[[float], Any], retries: Retries, request_id: str) -> None:
        self._start = start
        self._retries = retries
        self._request_id = request_id
        self._begun = False
        self._ended = False
        self._answer: Answer | None = None
        # Started now, not with the first event that is asked for: the server works while the caller gets ready.
        self._call = start(retries.remaining())

    @property
    def request_id(self) -> str:
        """The id under which the question was sent."""
        return self._request_id

    @property
    def answer(self) -> Answer:
        """The whole answer. Raises RuntimeError until the stream was read to its end."""
        if self._answer is None:
            raise RuntimeError("the stream has not been read to its end")
        return self._answer

    def text(self) -> Iterator[str]:
        """The pieces of the answer's text; reads the stream to its end."""
        for event in self:
            if isinstance(event, Delta):
                yield event.text

    def cancel(self) -> None:
        """Stops the call; harmless when it has ended. Whoever iterates gets KefuCallError with code CANCELLED."""
        self._retries.cancel()
        self._call.cancel()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        while not self._ended:
            response = self._next_response()
            if response is None:
                break
            self._begun = True
            event = _event(response)
            if isinstance(event, Answer):
                self._answer = event
            if event is not None:
                return event
        raise StopIteration

    def _next_response(self) -> StreamChatResponse | None:
        while True:
            try:
                response: StreamChatResponse = next(self._call)
                return response
            except StopIteration:
                self._ended = True
                if self._answer is None:
                    raise self._broken() from None
                return None
            except grpc.RpcError as failure:
                error = KefuCallError.of(failure, self._request_id)
                if self._begun:
                    # A repetition would give the caller the same words twice.
                    self._ended = True
                    raise error from failure
                self._again(error)

    def _again(self, error: KefuCallError) -> None:
        try:
            self._retries.wait(error)
        except KefuCallError:
            self._ended = True
            raise
        self._call = self._start(self._retries.remaining())

    def _broken(self) -> KefuCallError:
        code = grpc.StatusCode.DATA_LOSS
        message = "the server ended the stream without an answer"
        return KefuCallError(code.name, message, code=code, request_id=self._request_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cancel()


def _event(response: StreamChatResponse) -> Event | None:
    """The event inside, or None for a kind that a newer server has and this client does not know."""
    match response.WhichOneof("event"):
        case "picture":
            return response.picture
        case "delta":
            return response.delta
        case "answer":
            return response.answer
        case _:
            return None
