"""What is known of the call that a task serves: its id, the span it is in, and what its access line shall say.

    begin("r-1")                          # the interceptor, once a call
    note(model="reader", tokens=12)       # anybody, on the way
    await stub.Prepare(request, metadata=outgoing())

Context variables: a task that a call starts inherits them. Neither gRPC nor OpenTelemetry is imported here.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Any, Protocol

REQUEST_ID_KEY = "x-request-id"
TRACEPARENT_KEY = "traceparent"
TRACESTATE_KEY = "tracestate"

Metadata = tuple[tuple[str, str], ...]


class CurrentSpan(Protocol):
    """The span that runs, as far as others need to know it. Only a traced process has one."""

    @property
    def sampled(self) -> bool:
        """Whether anybody will see it."""
        ...

    @property
    def trace_id(self) -> str: ...

    @property
    def headers(self) -> Metadata:
        """What tells another process which span called it (W3C Trace Context)."""
        ...


_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

current_span: ContextVar[CurrentSpan | None] = ContextVar("kefu_span", default=None)
_request_id: ContextVar[str] = ContextVar("kefu_request_id", default="")
_notes: ContextVar[dict[str, Any] | None] = ContextVar("kefu_notes", default=None)


def begin(request_id: str) -> dict[str, Any]:
    """A call begins; the notes that it will collect."""
    _request_id.set(request_id)
    notes: dict[str, Any] = {}
    _notes.set(notes)
    return notes


def rename(request_id: str) -> None:
    """What runs from here on is for this request: a question brings its own id, a session's holder serves many."""
    _request_id.set(request_id)


def request_id() -> str:
    """The running call's id; "" outside of any."""
    return _request_id.get()


def note(**facts: Any) -> None:
    """Puts facts into the running call's access line: names, counts, ids; never a customer's words."""
    notes = _notes.get()
    if notes is not None:
        notes.update(facts)


class Passing:
    """A caller's span in a process that makes none itself: passed on, and named in the log."""

    def __init__(self, traceparent: str) -> None:
        self.trace_id = traceparent[3:35]
        self.sampled = bool(int(traceparent[-2:], 16) & 1)
        self.headers: Metadata = ((TRACEPARENT_KEY, traceparent),)


def pass_on(traceparent: str) -> None:
    """Takes a caller's span over, where it is one."""
    if _TRACEPARENT.fullmatch(traceparent):
        current_span.set(Passing(traceparent))


def outgoing() -> Metadata | None:
    """Metadata for a call to another of our processes: the request's id, and the trace where there is one."""
    known, span = _request_id.get(), current_span.get()
    named = ((REQUEST_ID_KEY, known),) if known else ()
    if span is None:
        return named or None
    return (*named, *span.headers)


def trace_headers() -> Metadata | None:
    """The same for Triton: the trace alone, and only one that somebody will see. It records every request that brings a
    `traceparent`, whatever the flag in it says (tried with 2.51)."""
    span = current_span.get()
    return span.headers if span is not None and span.sampled else None


def exemplar() -> dict[str, str] | None:
    """What leads from a figure to one trace of it; None where nobody will see that trace."""
    span = current_span.get()
    return {"trace_id": span.trace_id} if span is not None and span.sampled else None
