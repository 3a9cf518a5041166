"""A streamed answer: events as they come, then the whole answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc

from kefu.chat.v1.answer_pb2 import Answer
from kefu.chat.v1.chat_service_pb2 import Delta, StreamChatResponse
from kefu.media.v1.picture_pb2 import PictureReport
from kefu_client.errors import KefuCallError
from kefu_client.retries import Retries

# The gateway that was answering went away: the same request id again gives the whole answer, once.
_INTERRUPTED = "TURN_INTERRUPTED"


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The gateway that was answering went away after its first words, and the question is being asked once more under
    the same request id. No Delta follows, but the whole Answer, whose words may be others. `error` says what it said.
    """

    error: KefuCallError


Event = PictureReport | Delta | Interrupted | Answer


class AnswerStream:
    """What `KefuClient.stream` gives: iterate over it, or over `text()`.

        with kefu.stream("为什么被拒?", picture("refund.png")) as stream:
            for event in stream:
                if isinstance(event, Delta):
                    print(event.text, end="", flush=True)
        print(stream.answer.confidence.score)

    Leaving the `with` block early cancels the call, and the server stops working on it. Iterating raises
    `KefuCallError`. Nothing is told twice: see `Interrupted` for an answer that broke off. `cancel()` may be called
    from another thread; everything else belongs to one.
    """

    def __init__(self, start: Callable[[float], Any], retries: Retries, request_id: str) -> None:
        self._start = start
        self._retries = retries
        self._request_id = request_id
        self._begun = False
        self._ended = False
        self._interrupted = False
        # Why the question will be asked again when the next event is wanted.
        self._to_repeat: KefuCallError | None = None
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
        """The pieces of the answer's text; reads the stream to its end.

        After an interruption the rest comes in one piece; where the whole answer turned out to have other words than
        those already given, the interruption is raised as KefuCallError, and `answer` has the words that count.
        """
        given = ""
        interruption: KefuCallError | None = None
        for event in self:
            match event:
                case Delta():
                    given += event.text
                    yield event.text
                case Interrupted():
                    interruption = event.error
                case Answer() if interruption is not None:
                    if not event.text.startswith(given):
                        raise interruption
                    yield event.text.removeprefix(given)

    def cancel(self) -> None:
        """Stops the call; harmless when it has ended. Whoever iterates gets KefuCallError with code CANCELLED."""
        self._retries.cancel()
        self._call.cancel()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        while not self._ended:
            if self._to_repeat is not None:
                error, self._to_repeat = self._to_repeat, None
                self._again(error)
            event = self._next_event()
            if event is not None:
                return event
        raise StopIteration

    def _next_event(self) -> Event | None:
        """None where there is nothing to tell: the question is asked again, or the stream has ended."""
        try:
            response = next(self._call)
        except StopIteration:
            self._ended = True
            if self._answer is None:
                raise self._broken() from None
            return None
        except grpc.RpcError as failure:
            return self._failed(KefuCallError.of(failure, self._request_id))
        self._begun = True
        event = _event(response)
        if isinstance(event, Answer):
            self._answer = event
        elif self._interrupted:
            # The caller had the pictures and the first words; the Answer has all of them.
            return None
        return event

    def _failed(self, error: KefuCallError) -> Interrupted | None:
        # What has been told must not be told again: only an interruption is known to give the same answer once.
        told = self._begun and not self._interrupted and error.reason != _INTERRUPTED
        if told or self._answer is not None:
            self._ended = True
            raise error
        self._to_repeat = error
        if not self._begun or self._interrupted:
            return None
        self._interrupted = True
        return Interrupted(error)

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
