"""The Prometheus endpoint of a process: a registry of its own, served on a loopback port by default.

registry = CollectorRegistry()
with metrics_endpoint("127.0.0.1:9090", registry):
    ...
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server

# Seconds. From a cache hit to a slow CPU model: each bucket about 1.6 to 2.5 times the one before.
SECONDS_BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0,
)  # fmt: skip


@contextmanager
def metrics_endpoint(address: str, registry: CollectorRegistry) -> Iterator[int | None]:
    """Serves `registry` on `host:port` while open; gives the port (0 chooses one). "-" serves nothing."""
    if address in ("", "-"):
        yield None
        return
    host, _, port = address.rpartition(":")
    server, thread = start_http_server(int(port), addr=host, registry=registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
