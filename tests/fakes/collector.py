"""An OpenTelemetry collector that speaks the wire: OTLP over gRPC, spans kept in memory.

async with FakeCollector() as collector:
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
    span = (await collector.trace(trace_id, "admit", "infer"))["infer"]
"""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1 import trace_pb2


@dataclass(frozen=True, slots=True)
class SeenSpan:
    """One span; ids as lower-case hexadecimal digits, times in nanoseconds since the epoch."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    start: int
    end: int
    error: bool
    attributes: dict[str, Any]
    events: tuple[str, ...]
    links: tuple[str, ...]  # ids of the spans that it is linked to


@dataclass
class FakeCollector(trace_service_pb2_grpc.TraceServiceServicer):
    spans: list[SeenSpan] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    url: str = ""
    http_url: str = ""  # Triton speaks OTLP over HTTP, in JSON

    async def __aenter__(self) -> FakeCollector:
        self._changed = asyncio.Condition()
        self._server = grpc.aio.server()
        add: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
        add(self, self._server)
        self.url = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        loop = asyncio.get_running_loop()

        class Door(http.server.BaseHTTPRequestHandler):
            def do_POST(door) -> None:
                body = door.rfile.read(int(door.headers["Content-Length"]))
                asyncio.run_coroutine_threadsafe(self._take(body, _seen_in_json(body)), loop)
                door.send_response(200)
                door.end_headers()

            def log_message(door, *words: object) -> None:
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.http_url = f"http://127.0.0.1:{self._http.server_port}/v1/traces"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.to_thread(self._http.shutdown)
        self._http.server_close()
        await self._server.stop(0)

    async def _take(self, body: bytes, spans: list[SeenSpan]) -> None:
        async with self._changed:
            self.raw.append(body)
            self.spans += spans
            self._changed.notify_all()

    async def Export(
        self,
        request: trace_service_pb2.ExportTraceServiceRequest,
        context: grpc.aio.ServicerContext,
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        spans: list[SeenSpan] = []
        for resource in request.resource_spans:
            named = {each.key: _plain(each.value) for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                spans += [_seen(str(named["service.name"]), span) for span in scope.spans]
        await self._take(request.SerializeToString(), spans)
        return trace_service_pb2.ExportTraceServiceResponse()

    async def trace(self, trace_id: str, *names: str, seconds: float = 60) -> dict[str, SeenSpan]:
        """The spans of one trace by name, as soon as those of `names` are all there."""

        def found() -> dict[str, SeenSpan]:
            return {span.name: span for span in self.spans if span.trace_id == trace_id}

        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: set(names) <= set(found()))
        except TimeoutError:
            missing = set(names) - set(found())
            raise AssertionError(f"never arrived: {missing}; there are {set(found())}") from None
        return found()


def _seen(service: str, span: trace_pb2.Span) -> SeenSpan:
    return SeenSpan(
        service=service,
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        kind=span.kind,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        error=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        attributes={each.key: _plain(each.value) for each in span.attributes},
        events=tuple(event.name for event in span.events),
        links=tuple(link.span_id.hex() for link in span.links),
    )


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None


def _seen_in_json(body: bytes) -> list[SeenSpan]:
    """As the C++ exporter writes it: every value an object that names its type."""
    return [
        SeenSpan(
            service=_attributes(resource["resource"])["service.name"]["stringValue"],
            name=span["name"],
            trace_id=span["traceId"],
            span_id=span["spanId"],
            parent_id=span.get("parentSpanId", ""),
            kind=span["kind"],
            start=int(span["startTimeUnixNano"]),
            end=int(span["endTimeUnixNano"]),
            error=False,
            attributes=_attributes(span),
            events=tuple(event["name"] for event in span.get("events", ())),
            links=(),
        )
        for resource in json.loads(body)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def _attributes(holder: dict[str, Any]) -> dict[str, Any]:
    return {each["key"]: each["value"] for each in holder.get("attributes", ())}
