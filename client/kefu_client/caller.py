"""What every call of a client shares: the channel, who is asking, how long, how often, how large."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import grpc

from kefu.chat.v1.model_service_pb2 import Limits, ListModelsRequest, ListModelsResponse
from kefu.chat.v1.model_service_pb2_grpc import ModelServiceStub
from kefu.chat.v1.question_pb2 import Question
from kefu_client.channel import MESSAGE_BYTES
from kefu_client.errors import InputError, KefuCallError
from kefu_client.retries import OnRetry, Retries

# Small calls (models, health, sessions) answer from memory or one table: more than this means that something is wrong.
SMALL_CALL_SECONDS = 10.0


class Caller:
    """Makes calls on one channel. `timeout` in seconds; `attempts`: how often a call is tried in all."""

    def __init__(
        self,
        channel: grpc.Channel,
        *,
        token: str | Callable[[], str],
        timeout: float,
        attempts: int,
        on_retry: OnRetry | None,
    ) -> None:
        if isinstance(token, str):
            _check_token(token)
        self.channel = channel
        self.attempts = attempts
        self.on_retry = on_retry
        self._timeout = timeout
        self._token = token
        self._message_bytes = MESSAGE_BYTES
        # The generated stubs carry no types.
        self._models: Any = ModelServiceStub(channel)

    def call(
        self, method: Any, request: Any, *, timeout: float | None = None, request_id: str = ""
    ) -> Any:
        """One unary call of a stub's method, tried again where the server asks for it. Raises KefuCallError."""
        retries = self.retries(timeout)
        while True:
            running = method.future(
                request, timeout=retries.remaining(), metadata=self.metadata(request_id)
            )
            try:
                return running.result()
            except grpc.RpcError as failure:
                error = KefuCallError.of(failure, request_id)
            finally:
                # Ctrl-C while waiting: the server stops now, and not when the client is closed or collected. Nothing
                # happens to a call that has ended.
                running.cancel()
            retries.wait(error)

    def models(self, timeout: float = SMALL_CALL_SECONDS) -> ListModelsResponse:
        """What is hosted, and the server's limits."""
        response: ListModelsResponse = self.call(
            self._models.ListModels, ListModelsRequest(), timeout=timeout
        )
        return response

    def limits(self) -> Limits:
        """The server's limits; all 0 where it tells none."""
        return self.models().limits

    def retries(self, timeout: float | None) -> Retries:
        """The tries of one call; None: the client's own time."""
        seconds = self._timeout if timeout is None else timeout
        return Retries(self.attempts, seconds, self.on_retry)

    def metadata(self, request_id: str = "") -> tuple[tuple[str, str], ...]:
        """The headers of a call."""
        pairs = []
        token = self._token
        if not isinstance(token, str):
            token = token()
            _check_token(token)
        if token:
            pairs.append(("authorization", f"Bearer {token}"))
        # So that the server's log lines, from the first on, carry the caller's id. An id that no header can carry is
        # left to the server to refuse, which names the field.
        if request_id and is_plain(request_id):
            pairs.append(("x-request-id", request_id))
        return tuple(pairs)

    def prepared(self, asked: Question) -> Question:
        """The question with an id that makes repeating it safe, and small enough to be sent. Raises InputError."""
        if not asked.request_id:
            asked.request_id = uuid.uuid4().hex
        # A few bytes for the request around the question.
        size = asked.ByteSize() + 16
        if size > self._message_bytes:
            self._message_bytes = max(MESSAGE_BYTES, self.limits().message_bytes)
        if size > self._message_bytes:
            raise InputError(
                f"the question has {size / 2**20:.1f} MiB, and a message may have "
                f"{self._message_bytes / 2**20:.1f} MiB: upload the pictures first (`kefu upload FILE`, "
                "then `kefu chat --upload ID`; in a program KefuClient.upload), or send fewer or smaller ones"
            )
        return asked


def _check_token(token: str) -> None:
    if not is_plain(token):
        raise InputError("the token has characters that no token has (line breaks, umlauts)")


def is_plain(text: str) -> bool:
    """True for what may stand in a header: gRPC's own refusal of anything else would name neither field nor reason."""
    return text.isascii() and text.isprintable()
