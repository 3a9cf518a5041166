"""Metrics of a process: the endpoint that Prometheus scrapes, and kinds of metrics that cost a turn little.

registry = CollectorRegistry()
with metrics_endpoint("127.0.0.1:9090", registry):
    ...

`Counter`, `Gauge` and `Histogram` are prometheus_client's own with two shorter ways: a child that is known is found
without checks, and no lock is taken, because all counters and histograms of a process are written by its event loop's
thread (a scrape in another thread may see a sum without its count, for a moment). A turn takes about thirty
observations: with the library's they were 7% of the least that a turn can cost (`./dev bench overhead`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import prometheus_client
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics import MetricWrapperBase

# Seconds. From a cache hit to a slow CPU model: each bucket about 1.6 to 2.5 times the one before.
SECONDS_BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0,
)  # fmt: skip


if TYPE_CHECKING:
    _Base = MetricWrapperBase
else:
    _Base = object


class _KnownChildren(_Base):
    """A child that exists is found by one look into the parent's own dictionary; the library checks all it was given
    each time, under a lock."""

    def labels(self, *values: Any, **named: Any) -> Any:
        if not named:
            try:
                return self._metrics[values]
            except (KeyError, AttributeError):
                pass  # a new one, or no parent: the library says which
        return super().labels(*values, **named)


class Counter(_KnownChildren, prometheus_client.Counter):
    """prometheus_client's, for a single writing thread."""

    def inc(self, amount: float = 1, exemplar: dict[str, str] | None = None) -> None:
        if exemplar is not None or amount < 0 or (self._labelnames and not self._labelvalues):
            super().inc(amount, exemplar)
            return
        value: Any = self._value
        value._value += amount


class Gauge(_KnownChildren, prometheus_client.Gauge):
    """prometheus_client's."""


class Histogram(_KnownChildren, prometheus_client.Histogram):
    """prometheus_client's, for a single writing thread."""

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        if exemplar is not None or (self._labelnames and not self._labelvalues):
            super().observe(amount, exemplar)
            return
        total: Any = self._sum
        bucket: Any = self._buckets[bisect_left(self._upper_bounds, amount)]
        total._value += amount
        bucket._value += 1


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
