"""The model host's own metrics, for Prometheus: what Triton cannot say while it is down or a model is missing.

    async with exposed("0.0.0.0:8004", status) as port: ...

A few gauges read from the status when somebody asks: no registry and no client library for that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kefu_modelhost.status import MODEL_STATES, STATES, Status

_REQUEST_SECONDS = 5.0
_MOST_BYTES = 8192


@asynccontextmanager
async def exposed(address: str, status: Status) -> AsyncIterator[int | None]:
    """Serves GET /metrics on host:port (port 0 chooses one) and yields the port; None where the address is `-`."""
    if address in ("", "-"):
        yield None
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1].partition(b"?")[0]
                writer.write(_response(path, head.startswith(b"GET "), status))
                await writer.drain()
        writer.close()

    host, _, port = address.rpartition(":")
    server = await asyncio.start_server(answer, host, int(port), limit=_MOST_BYTES)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _response(path: bytes, get: bool, status: Status) -> bytes:
    found = get and path == b"/metrics"
    body = exposition(status).encode() if found else b"/metrics\n"
    head = (
        f"HTTP/1.1 {'200 OK' if found else '404 Not Found'}\r\n"
        "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def exposition(status: Status) -> str:
    """Prometheus's text format."""
    lines: list[str] = []

    def family(name: str, kind: str, text: str, values: dict[str, float]) -> None:
        lines.append(f"# HELP {name} {text}")
        lines.append(f"# TYPE {name} {kind}")
        lines.extend(f"{name}{labels} {value:g}" for labels, value in values.items())

    family(
        "kefu_modelhost_state",
        "gauge",
        "1 for the state of the host",
        {f'{{state="{state}"}}': float(state == status.state) for state in STATES},
    )
    family(
        "kefu_modelhost_model_state",
        "gauge",
        "1 for the state of the model",
        {
            f'{{model="{name}",state="{state}"}}': float(state == model.state)
            for name, model in status.models.items()
            for state in MODEL_STATES
        },
    )
    family(
        "kefu_modelhost_load_failures_total",
        "counter",
        "Loads of the model that failed",
        {f'{{model="{name}"}}': model.failures for name, model in status.models.items()},
    )
    family(
        "kefu_modelhost_starts_total", "counter", "Starts of the server", {"": float(status.starts)}
    )
    family(
        "kefu_modelhost_reloads_total",
        "counter",
        "Loads of a model beside others, the server untouched",
        {"": float(status.reloads)},
    )
    return "\n".join(lines) + "\n"
