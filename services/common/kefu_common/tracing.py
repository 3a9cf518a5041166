"""Traces: OpenTelemetry over OTLP (gRPC). Off by default, and then OpenTelemetry is not even imported.

    async with open_tracing("kefu-gateway", "otlp", ratio=0.01) as tracing:   # None where it is off
        with tracing.span("admit"): ...

Where spans go, with which headers and certificates, and how they are batched is said by the standard variables
(OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_…). A caller that samples is followed; of the rest,
`ratio` is sampled, unless OTEL_TRACES_SAMPLER says otherwise. What nobody will see costs nothing: below a span that is
not sampled none is made.

An attribute is a name, a count or a setting; never a customer's words, a picture's bytes or a URL.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import structlog

from kefu_common.calls import (
    TRACEPARENT_KEY,
    TRACESTATE_KEY,
    CurrentSpan,
    Metadata,
    current_span,
)

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

log = structlog.get_logger()

MODES = ("off", "otlp")
# A collector that is away must not hold a process that wants to leave.
SHUTDOWN_SECONDS = 3.0

Attributes = Mapping[str, str | bool | int | float | Sequence[str]]


@asynccontextmanager
async def open_tracing(service: str, mode: str, *, ratio: float) -> AsyncIterator[Tracing | None]:
    """The tracer of a process, or None. `ratio`: share of the traces begun here that are sampled, 0 to 1."""
    if mode == "off":
        yield None
        return
    provider = _provider(service)
    try:
        yield Tracing(provider, ratio=None if _told_by_the_environment() else ratio)
    finally:
        # It waits for its last batch to be sent, in a thread of its own.
        done, _ = await asyncio.wait(
            {asyncio.create_task(asyncio.to_thread(provider.shutdown))}, timeout=SHUTDOWN_SECONDS
        )
        if not done:
            log.warning("the last spans were not sent", seconds=SHUTDOWN_SECONDS)


def _told_by_the_environment() -> bool:
    return bool(os.environ.get("OTEL_TRACES_SAMPLER"))


def _provider(service: str) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

    # None: the provider reads OTEL_TRACES_SAMPLER itself. Ours: `Tracing.call` has drawn already.
    ours = None if _told_by_the_environment() else ParentBased(ALWAYS_ON)
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": service}
    provider = TracerProvider(sampler=ours, resource=Resource.create(named), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class Tracing:
    """Makes spans under the one that runs in this task."""

    def __init__(self, provider: TracerProvider, *, ratio: float | None) -> None:
        """`ratio`: share of the calls without a trace of their caller's that begin one; None: the provider says."""
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._ratio = ratio
        self._trace = trace
        self._tracer = provider.get_tracer("kefu")
        self._propagator = TraceContextTextMapPropagator()

    def call(self, method: str, metadata: Iterable[tuple[str, Any]]) -> Span | None:
        """The span of a call that arrived: `method` as gRPC writes it, "/package.Service/Method". None where its caller
        has no trace and none begins here: what was not drawn must cost nothing."""
        carrier = {
            key: value
            for key, value in metadata
            if key in (TRACEPARENT_KEY, TRACESTATE_KEY) and isinstance(value, str)
        }
        if not carrier and self._ratio is not None and random.random() >= self._ratio:  # noqa: S311
            return None
        service, _, name = method.strip("/").rpartition("/")
        return self._open(
            f"{service}/{name}",
            self._propagator.extract(carrier)
            if carrier
            else self._trace.set_span_in_context(_NONE),
            kind=self._trace.SpanKind.SERVER,
            attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": name},
        )

    def span(
        self,
        name: str,
        *,
        client: bool = False,
        under: Sequence[Metadata] = (),
        attributes: Attributes | None = None,
    ) -> Span | None:
        """A span under the running one, or under the first sampled one of `under` (headers, as `Span.headers` gives
        them), linked to its others. None where nobody would see it."""
        links: list[trace.Link] = []
        if under:
            contexts = [self._propagator.extract(dict(headers)) for headers in under]
            parents = [(context, self._of(context)) for context in contexts]
            sampled = [each for each in parents if each[1].trace_flags.sampled]
            if not sampled:
                return None
            context = sampled[0][0]
            links = [self._trace.Link(found) for _, found in sampled[1:]]
        else:
            running = current_span.get()
            if not isinstance(running, Span) or not running.sampled:
                return None
            context = self._trace.set_span_in_context(running.otel)
        kind = self._trace.SpanKind.CLIENT if client else self._trace.SpanKind.INTERNAL
        return self._open(name, context, kind=kind, attributes=attributes, links=links)

    def _of(self, context: Any) -> trace.SpanContext:
        return self._trace.get_current_span(context).get_span_context()

    def _open(self, name: str, context: Any, **options: Any) -> Span:
        return Span(self._tracer.start_span(name, context, **options))


_NONE: Any = None


class Span:
    """A span that runs from entering to leaving; what its task starts meanwhile is under it."""

    __slots__ = ("_before", "_headers", "otel", "sampled")

    def __init__(self, otel: trace.Span) -> None:
        self.otel = otel
        self.sampled = otel.get_span_context().trace_flags.sampled
        self._before: CurrentSpan | None = None
        self._headers: Metadata = ()

    @property
    def trace_id(self) -> str:
        return f"{self.otel.get_span_context().trace_id:032x}"

    @property
    def headers(self) -> Metadata:
        if not self._headers:
            found = self.otel.get_span_context()
            parent = f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"
            self._headers = ((TRACEPARENT_KEY, parent),)
            if state := found.trace_state.to_header():
                self._headers = (*self._headers, (TRACESTATE_KEY, state))
        return self._headers

    def set(self, attributes: Attributes) -> None:
        self.otel.set_attributes(attributes)

    def event(self, name: str, nanoseconds: int) -> None:
        """Something that happened at a point of time, in nanoseconds since the epoch."""
        self.otel.add_event(name, timestamp=nanoseconds)

    def failed(self, reason: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        self.otel.set_attribute("error.type", reason)
        self.otel.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        self.otel.end()

    def __enter__(self) -> Span:
        self._before = current_span.get()
        current_span.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: object
    ) -> None:
        # Not by a token: a stream that its caller left is closed from another task's context.
        current_span.set(self._before)
        self.otel.end()
