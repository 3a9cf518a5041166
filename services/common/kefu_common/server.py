"""What stands around every method of our gRPC servers: ids, a span, errors as status, one access line a call.

    server = grpc.aio.server(interceptors=[CallInterceptor()], options=channel_options(max_bytes))

A KefuError that leaves a servicer becomes its status (`kefu_common.status`). Anything else becomes INTERNAL with a
fixed text: a decoder's or a driver's own words never leave the process.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import nullcontext
from typing import Any

import grpc
import structlog

from kefu_common import calls
from kefu_common.calls import REQUEST_ID_KEY, TRACEPARENT_KEY
from kefu_common.errors import KefuError, Reason
from kefu_common.status import CODES, to_rpc_status
from kefu_common.tracing import Span, Tracing

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
# Health probes and reflection come every few seconds and say nothing when they succeed.
_QUIET = ("/grpc.health.", "/grpc.reflection.")
# What a span calls an error (OpenTelemetry's conventions for gRPC servers): the fault is ours, not the caller's.
_OUR_FAULTS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)

log = structlog.get_logger()

# Told of every finished call: method, status code, seconds, reason (None on success).
Observer = Callable[[str, grpc.StatusCode, float, Reason | None], None]


def channel_options(max_message_bytes: int) -> list[tuple[str, int]]:
    """Options for a server or a channel: explicit message limits, and keep-alive that finds dead peers."""
    return [
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.so_reuseport", 0),
        # A picture in frames of 16 KiB (HTTP/2's default) costs a third of the throughput.
        ("grpc.http2.max_frame_size", 4 * 1024 * 1024),
        ("grpc.http2.lookahead_bytes", 4 * 1024 * 1024),
    ]


# gRPC's own choice is one address of a name for everything: behind a headless Service all but one would be idle.
_ROUND_ROBIN = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})


def upstream_options(max_message_bytes: int) -> list[tuple[str, int | str]]:
    """Options for a channel to another of our processes: as above, in turn to every address of its name, and back
    within a second after it restarted (gRPC's own back-off grows to two minutes)."""
    return [
        *channel_options(max_message_bytes),
        ("grpc.service_config", _ROUND_ROBIN),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1_000),
    ]


def request_id_of(context: grpc.aio.ServicerContext) -> str:
    """The id of this call: the same as in its log lines."""
    return calls.request_id()


def _id_in(metadata: Iterable[tuple[str, Any]]) -> str:
    """A call's id: the caller's `x-request-id` where it is a plain word, else a new one."""
    for key, value in metadata:
        if key == REQUEST_ID_KEY and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            return value
    return uuid.uuid4().hex


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every method; the first of the interceptors. `observe` is told of each finished call; `tracing`: None where
    traces are off."""

    def __init__(self, observe: Observer | None = None, tracing: Tracing | None = None) -> None:
        self._observe = observe
        self._tracing = tracing

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        if details.method.startswith(_QUIET):
            return await continuation(details)
        # gRPC runs the method in the task that is running here: what is set now holds until the call's end.
        notes = calls.begin(_id_in(details.invocation_metadata or ()))
        handler = await continuation(details)
        if handler is None:
            return handler
        make, inner = _shape(handler)
        wrap = self._stream if handler.response_streaming else self._unary
        wrapped: grpc.RpcMethodHandler = make(
            wrap(details, inner, notes),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )
        return wrapped

    def _unary(self, details: grpc.HandlerCallDetails, inner: Any, notes: dict[str, Any]) -> Any:
        async def call(request: Any, context: grpc.aio.ServicerContext) -> Any:
            span = self._span(details)
            watch = _Watch(details.method, context, self._observe, notes, span)
            with span or _NO_SPAN:
                try:
                    response = await inner(request, context)
                except BaseException as error:
                    await watch.failed(error)
                    raise
                watch.done()
            return response

        return call

    def _stream(self, details: grpc.HandlerCallDetails, inner: Any, notes: dict[str, Any]) -> Any:
        async def call(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            span = self._span(details)
            watch = _Watch(details.method, context, self._observe, notes, span)
            responses = inner(request, context)
            with span or _NO_SPAN:
                try:
                    async for response in responses:
                        yield response
                except BaseException as error:
                    await watch.failed(error)
                    raise
                finally:
                    # A caller that went away leaves the inner generator suspended: closing it here runs its clean-up
                    # (and so cancels the upstream call) now, and not whenever it is collected.
                    await responses.aclose()
                watch.done()

        return call

    def _span(self, details: grpc.HandlerCallDetails) -> Span | None:
        metadata = details.invocation_metadata or ()
        if self._tracing is not None:
            return self._tracing.call(details.method, metadata)
        for key, value in metadata:
            if key == TRACEPARENT_KEY and isinstance(value, str):
                calls.pass_on(value)
        return None


_NO_SPAN = nullcontext()


def _shape(handler: grpc.RpcMethodHandler) -> tuple[Any, Any]:
    if handler.request_streaming and handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler, handler.stream_stream
    if handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler, handler.stream_unary
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler, handler.unary_stream
    return grpc.unary_unary_rpc_method_handler, handler.unary_unary


class _Watch:
    """One call: its time, and how it ended."""

    def __init__(
        self,
        method: str,
        context: grpc.aio.ServicerContext,
        observe: Observer | None,
        notes: dict[str, Any],
        span: Span | None,
    ) -> None:
        self._method = method
        self._context = context
        self._observe = observe
        self._notes = notes
        self._span = span
        self._start = time.perf_counter()

    def done(self) -> None:
        self._tell(grpc.StatusCode.OK, None)

    async def failed(self, error: BaseException) -> None:
        if isinstance(error, KefuError):
            known = error
        elif isinstance(error, Exception) and not isinstance(error, grpc.aio.AbortError):
            log.error("unexpected failure", method=self._method, exc_info=error)
            known = KefuError(Reason.INTERNAL, "something went wrong on our side")
        else:
            # Cancellation and aborts of others: nothing to send, only to count.
            self._tell(grpc.StatusCode.CANCELLED, None)
            return
        self._tell(CODES[known.reason], known.reason)
        known.metadata.setdefault("request_id", calls.request_id())
        # grpc-stubs do not know this method of grpc.aio's context.
        context: Any = self._context
        if context.done():
            return  # the caller has gone meanwhile: there is nobody to tell
        await context.abort_with_status(to_rpc_status(known))

    def _tell(self, code: grpc.StatusCode, reason: Reason | None) -> None:
        seconds = time.perf_counter() - self._start
        if self._observe is not None:
            self._observe(self._method, code, seconds, reason)
        if self._span is not None and self._span.sampled:
            words = {
                f"kefu.{key}": value for key, value in self._notes.items() if isinstance(value, str)
            }
            self._span.set({"rpc.grpc.status_code": code.value[0], **words})
            if code in _OUR_FAULTS:
                self._span.failed(code.name if reason is None else reason.value)
        log.info(
            "call",
            method=self._method,
            code=code.name,
            reason=None if reason is None else reason.value,
            milliseconds=round(seconds * 1000, 2),
            **self._notes,
        )
