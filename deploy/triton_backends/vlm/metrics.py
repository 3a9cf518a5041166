"""Custom metrics of the backend, under Triton's own `/metrics`.

Two facts about Triton's Python metrics shape this file: calls from several threads at once crash the server, so one
thread makes all of them; and a family that is garbage-collected takes its values with it, so all are kept here.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

_COUNTERS = {
    "kefu_vlm_requests_total": "Requests that the backend took",
    "kefu_vlm_progress_total": "Pictures read, parts of prompts, tokens; at rest only when idle or hung",
    "kefu_vlm_batches_total": "Batches that Triton handed over",
    "kefu_vlm_cancelled_total": "Requests that were cancelled before their end",
    "kefu_vlm_refused_total": "Requests that the contract forbids",
    "kefu_vlm_failed_total": "Requests that broke inside the engine",
    "kefu_vlm_completion_tokens_total": "Tokens written",
    "kefu_echo_device_busy_seconds_total": "Seconds that the test model's device was at work",
    "kefu_echo_device_batches_total": "Batches that the test model's device served",
    "kefu_echo_device_served_total": "Requests that the test model's device served",
    "kefu_reader_pages_total": "Pictures that the OCR read",
    "kefu_reader_page_cache_hits_total": "Pictures whose rows were still known",
    "kefu_reader_page_seconds_total": "Seconds spent in OCR",
    "kefu_reader_corrected_total": "Answers that were not on the page and were replaced",
    "kefu_reader_cannot_see_total": "Answers that say what the reader cannot see",
}
_HAND_OVER_SECONDS = 0.2
_CLOSE_SECONDS = 1.0
_GAUGES = {
    "kefu_vlm_active_requests": "Requests being answered or waiting inside the backend",
    "kefu_vlm_busy_slots": "Places of the engine in use",
}


class TritonMeter:
    """A Meter over `pb_utils.MetricFamily`; unknown names are a programming error and raise KeyError.

    Each call into Triton crosses a process border, so values are gathered here and handed over a few times a second,
    by one thread.
    """

    def __init__(self, pb_utils: Any, model: str) -> None:
        self._lock = threading.Lock()
        self._families: list[Any] = []
        self._metrics: dict[str, Any] = {}
        self._added: dict[str, float] = {}
        self._set: dict[str, float] = {}
        self._observed: list[tuple[str, float]] = []
        self._new: list[tuple[str, str, Any, list[float] | None]] = []
        self._pb_utils = pb_utils
        self._model = model
        self.declare(_COUNTERS, _GAUGES)
        self._make()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vlm-metrics", daemon=True)
        self._thread.start()

    def declare(self, counters: Mapping[str, str], gauges: Mapping[str, str]) -> None:
        family = self._pb_utils.MetricFamily
        with self._lock:
            self._new += [(name, text, family.COUNTER, None) for name, text in counters.items()]
            self._new += [(name, text, family.GAUGE, None) for name, text in gauges.items()]

    def declare_histogram(self, name: str, text: str, buckets: Sequence[float]) -> None:
        """The wheel's Triton (24.10) has histograms; on a server without them nothing is told, and nothing breaks."""
        kind = getattr(self._pb_utils.MetricFamily, "HISTOGRAM", None)
        if kind is not None:
            with self._lock:
                self._new.append((name, text, kind, list(buckets)))

    def add(self, name: str, value: float = 1.0) -> None:
        with self._lock:
            self._added[name] = self._added.get(name, 0.0) + value

    def set(self, name: str, value: float) -> None:
        with self._lock:
            self._set[name] = value

    def observe(self, name: str, value: float) -> None:
        with self._lock:
            self._observed.append((name, value))

    def close(self) -> None:
        """No values are handed over after it.  The server may be deaf to metrics by now: never wait for it."""
        self._closing.set()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._closing.wait(_HAND_OVER_SECONDS):
            self._hand_over()

    def _make(self) -> None:
        with self._lock:
            new, self._new = self._new, []
        for name, description, kind, buckets in new:
            family = self._pb_utils.MetricFamily(name=name, description=description, kind=kind)
            self._families.append(family)
            labels = {"model": self._model}
            self._metrics[name] = (
                family.Metric(labels=labels)
                if buckets is None
                else family.Metric(labels=labels, buckets=buckets)
            )

    def _hand_over(self) -> None:
        self._make()
        with self._lock:
            added, self._added = self._added, {}
            values, self._set = self._set, {}
            observed, self._observed = self._observed, []
        for name, value in added.items():
            self._metrics[name].increment(value)
        for name, value in values.items():
            self._metrics[name].set(value)
        for name, value in observed:
            if name in self._metrics:
                self._metrics[name].observe(value)
