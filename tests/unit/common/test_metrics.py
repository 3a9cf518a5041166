"""The shorter ways of our metrics lead where the library's lead."""

from __future__ import annotations

from typing import Any

import prometheus_client
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from kefu_common import metrics

BUCKETS = (0.1, 1.0, 10.0)
_steps = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "remove"]),
        st.one_of(st.sampled_from([*BUCKETS, 0.0, -1.0, float("inf")]), st.floats(-5, 20)),
        st.sampled_from([None, {"trace_id": "1"}]),
    ),
    max_size=20,
)


def exposition(kinds: Any, steps: list[Any]) -> str:
    registry = CollectorRegistry()
    histogram = kinds.Histogram("h", "h", ["x"], buckets=BUCKETS, registry=registry)
    bare = kinds.Histogram("bare", "bare", buckets=BUCKETS, registry=registry)
    counter = kinds.Counter("c", "c", ["x"], registry=registry)
    gauge = kinds.Gauge("g", "g", ["x"], registry=registry)
    for name, value, exemplar in steps:
        if name == "remove":
            counter.remove("a")
            continue
        histogram.labels(name).observe(value, exemplar)
        bare.observe(value)
        counter.labels(x=name).inc()
        counter.labels(name).inc(2)
        gauge.labels(name).set(value)
    return "\n".join(
        line for line in generate_latest(registry).decode().splitlines() if "_created" not in line
    )


@settings(max_examples=50, deadline=None)
@given(_steps)
def test_the_same_figures_as_the_librarys(steps: list[Any]) -> None:
    assert exposition(metrics, steps) == exposition(prometheus_client, steps)
