"""What Prometheus sees of this service. Seconds, bytes, counts; no id is ever a label."""

from __future__ import annotations

from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from kefu_common.errors import KefuError
from kefu_preprocess.domain.values import Job, Prepared, Rendered, RenderJob

# Seconds: a step takes from a tenth of a millisecond to a second.
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class _Load(Protocol):
    @property
    def waiting(self) -> int: ...
    @property
    def busy(self) -> int: ...


class PrometheusObserver:
    """Implements `domain.ports.Observer`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._duration = Histogram(
            "kefu_preprocess_duration_seconds",
            "Seconds from a picture's arrival to its answer, waiting included.",
            ["outcome"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._steps = Histogram(
            "kefu_preprocess_step_duration_seconds",
            "Seconds that each step of the pipeline took in its worker.",
            ["step"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._bytes = Counter(
            "kefu_preprocess_bytes_total",
            "Bytes of pictures and documents: in as sent, out as prepared.",
            ["direction"],
            registry=registry,
        )
        self._documents = Histogram(
            "kefu_preprocess_document_duration_seconds",
            "Seconds from a document's arrival to its pages, waiting included.",
            ["outcome"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._pages = Counter(
            "kefu_preprocess_pages_total",
            "Pages of documents that were drawn as pictures.",
            registry=registry,
        )
        self._rejected = Counter(
            "kefu_preprocess_rejected_total",
            "Pictures and documents that were refused.",
            ["reason"],
            registry=registry,
        )
        self._cropped = Counter(
            "kefu_preprocess_cropped_total",
            "Pictures by what was recognised and cut.",
            ["kind"],
            registry=registry,
        )
        self._findings = Counter(
            "kefu_preprocess_quality_findings_total",
            "Findings on the quality of pictures.",
            ["kind"],
            registry=registry,
        )
        self._cache = Counter(
            "kefu_preprocess_cache_total",
            "Pictures that came from the cache (hit) or had to be prepared (miss).",
            ["result"],
            registry=registry,
        )
        self._ended = Counter(
            "kefu_preprocess_workers_ended_total",
            "Worker processes that had to be replaced: after a crash, or because they were stuck.",
            ["cause"],
            registry=registry,
        )
        # A share needs both of its sides from the start.
        for cause in ("crash", "hang"):
            self._ended.labels(cause)
        for result in ("hit", "miss"):
            self._cache.labels(result)

    def watch(self, load: _Load) -> None:
        """Shows the queue of `load`, read when Prometheus asks."""
        depth = Gauge(
            "kefu_preprocess_queue_depth",
            "Pictures that wait for a worker.",
            registry=self._registry,
        )
        depth.set_function(lambda: load.waiting)
        busy = Gauge(
            "kefu_preprocess_workers_busy", "Workers with a picture.", registry=self._registry
        )
        busy.set_function(lambda: load.busy)

    def worker_ended(self, cause: str) -> None:
        """A worker had to be replaced: "crash" or "hang"."""
        self._ended.labels(cause).inc()

    def prepared(self, job: Job, prepared: Prepared, *, seconds: float, cached: bool) -> None:
        """A picture came out."""
        self._duration.labels("ok").observe(seconds)
        self._bytes.labels("in").inc(len(job.data))
        self._bytes.labels("out").inc(len(prepared.data) + len(prepared.marked))
        self._cropped.labels(prepared.report.crop.kind).inc()
        self._cache.labels("hit" if cached else "miss").inc()
        for finding in prepared.report.quality:
            self._findings.labels(finding.kind.value).inc()
        if not cached:
            for step, step_seconds in prepared.report.seconds:
                self._steps.labels(step).observe(step_seconds)

    def rendered(self, job: RenderJob, rendered: Rendered, *, seconds: float) -> None:
        """A document's pages came out."""
        self._documents.labels("ok").observe(seconds)
        self._bytes.labels("in").inc(len(job.data))
        self._bytes.labels("out").inc(sum(len(page.data) for page in rendered.pages))
        self._pages.inc(rendered.total)

    def rejected(self, job: Job | RenderJob, error: KefuError, *, seconds: float) -> None:
        """A picture or a document was refused."""
        duration = self._duration if isinstance(job, Job) else self._documents
        duration.labels("rejected").observe(seconds)
        self._bytes.labels("in").inc(len(job.data))
        self._rejected.labels(error.reason.value).inc()
