"""Asks inside one session: over one live stream where the server has that, else call by call."""

from __future__ import annotations

import time
import uuid
from collections.abc import Generator
from contextlib import closing

import grpc

from kefu.chat.v1.answer_pb2 import Answer
from kefu.chat.v1.question_pb2 import Question
from kefu_client.client import KefuClient
from kefu_client.conversation import Conversation
from kefu_client.errors import KefuCallError
from kefu_client.retries import OnRetry
from kefu_client.stream import Event, Interrupted

_ATTEMPTS = 3
# A broken stream, and a request that a gateway left behind, tell no time: long enough for another gateway to be there.
_PAUSE_SECONDS = 0.5
# What the same request, sent again under the same id, brings to its end.
_PASSING = ("TURN_INTERRUPTED", "DRAINING")


class Talk:
    """One session's questions, one after the other.

        talk = Talk(client, "c-17", timeout=120)
        with closing(talk.ask(question("多少钱?"))) as events:
            for event in events:
                ...

    Leaving the events early cancels the question. A stream that breaks is opened again and the question sent again
    under its id, which gives its answer once: what was already told is not told again, `Interrupted` says so.
    """

    def __init__(
        self, client: KefuClient, session_id: str, timeout: float, on_retry: OnRetry | None = None
    ) -> None:
        self.session_id = session_id
        self.on_retry = on_retry
        self._client = client
        self._timeout = timeout
        self._live: Conversation | None = None
        self._by_calls = False

    def ask(self, asked: Question) -> Generator[Event, None, None]:
        """The events of one question, the Answer last. Raises KefuCallError, InputError."""
        asked.request_id = asked.request_id or uuid.uuid4().hex
        deadline = time.monotonic() + self._timeout
        told = interrupted = False
        failures = 0
        while not self._by_calls:
            try:
                with closing(self._one_stream(asked, deadline)) as events:
                    for event in events:
                        if interrupted and not isinstance(event, Answer):
                            continue
                        told = True
                        yield event
                return
            except KefuCallError as error:
                if error.code is grpc.StatusCode.UNIMPLEMENTED:
                    # An older gateway: from now on, a call a question.
                    self._by_calls = True
                    continue
                failures += 1
                pause = _pause(error)
                if pause is None or failures == _ATTEMPTS or time.monotonic() + pause > deadline:
                    raise
                cause = error
            if told and not interrupted:
                interrupted = True
                yield Interrupted(cause)
            if self.on_retry is not None:
                self.on_retry(cause, pause)
            time.sleep(pause)
        yield from self._one_call(asked)

    def close(self) -> None:
        """Ends the stream. What was asked stays remembered."""
        if self._live is not None:
            self._live.close()
            self._live = None

    def _one_stream(self, asked: Question, deadline: float) -> Generator[Event, None, None]:
        if self._live is None or not self._live.is_open:
            # Not open: it broke while nothing was asked, which is nobody's trouble.
            self.close()
            self._live = self._client.converse(self.session_id)
        live = self._live
        live.send_question(asked)
        answered = False
        try:
            while not answered:
                event = self._next(live, asked.request_id, deadline)
                answered = isinstance(event, Answer | KefuCallError)
                if isinstance(event, KefuCallError):
                    raise event
                yield event
        finally:
            if not answered and self._live is live:
                live.cancel(asked.request_id)

    def _next(self, live: Conversation, request_id: str, deadline: float) -> Event | KefuCallError:
        """What happens next to this request; an earlier one that was cancelled may still be told of."""
        while True:
            try:
                news = live.receive(max(0.0, deadline - time.monotonic()))
            except KefuCallError as error:
                if error.code is not grpc.StatusCode.DEADLINE_EXCEEDED:
                    self.close()
                raise
            if news is None:
                self.close()
                code = grpc.StatusCode.UNAVAILABLE
                raise KefuCallError(code.name, "the server ended the stream", code=code)
            if news.request_id == request_id:
                return news.event

    def _one_call(self, asked: Question) -> Generator[Event, None, None]:
        asked.session_id = self.session_id
        with self._client.stream_question(asked, timeout=self._timeout) as stream:
            yield from stream


def _pause(error: KefuCallError) -> float | None:
    """Seconds until the question may be sent again; None: it would fail again."""
    if error.retry_after is not None and error.code is grpc.StatusCode.UNAVAILABLE:
        return error.retry_after
    broken = error.code is grpc.StatusCode.UNAVAILABLE and not error.from_kefu
    return _PAUSE_SECONDS if broken or error.reason in _PASSING else None
