"""Settings of the preprocessing sidecar, all from the environment (KEFU_PREPROCESS_*)."""

from __future__ import annotations

import os
from dataclasses import dataclass

from kefu_common.environment import setting
from kefu_common.logs import FORMS
from kefu_common.tracing import MODES
from kefu_preprocess.domain.values import Limits

PREFIX = "KEFU_PREPROCESS_"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Defaults suit one sidecar beside one gateway."""

    socket: str = setting(
        "KEFU_PREPROCESS_SOCKET",
        "/tmp/kefu-preprocess.sock",  # noqa: S108 - a development default; pods share an emptyDir
        "path of the unix socket to listen on",
    )
    workers: int = setting(
        "KEFU_PREPROCESS_WORKERS", 0, "worker processes; 0: one a core", minimum=0, maximum=128
    )
    queue: int = setting(
        "KEFU_PREPROCESS_QUEUE",
        32,
        "pictures that may wait for a worker; the next one is refused with OVERLOADED",
        minimum=0,
        maximum=10_000,
    )
    time_limit_ms: int = setting(
        "KEFU_PREPROCESS_TIME_LIMIT_MS",
        8_000,
        "milliseconds that a worker may spend on one picture or one document before it is ended",
        minimum=50,
        maximum=120_000,
    )
    worker_memory_mb: int = setting(
        "KEFU_PREPROCESS_WORKER_MEMORY_MB",
        1_024,
        "address space of one worker in MiB beyond what it has when it is ready; 0: no limit",
        minimum=0,
        maximum=65_536,
    )
    max_bytes: int = setting(
        "KEFU_PREPROCESS_MAX_BYTES",
        Limits().max_bytes,
        "bytes that one picture may have",
        minimum=1,
        maximum=64 * 1024 * 1024,
    )
    max_pixels: int = setting(
        "KEFU_PREPROCESS_MAX_PIXELS",
        Limits().max_pixels,
        "pixels (width x height) that one picture may have",
        minimum=1,
        maximum=100_000_000,
    )
    max_pixels_scaled: int = setting(
        "KEFU_PREPROCESS_MAX_PIXELS_SCALED",
        Limits().max_pixels_scaled,
        "pixels of a JPEG that a caller lets us scale down while decoding",
        minimum=1,
        maximum=400_000_000,
    )
    cache_mb: int = setting(
        "KEFU_PREPROCESS_CACHE_MB",
        64,
        "MiB of prepared pictures kept in memory; 0: none",
        minimum=0,
        maximum=65_536,
    )
    metrics: str = setting(
        "KEFU_PREPROCESS_METRICS",
        "127.0.0.1:9102",
        "host:port of the Prometheus endpoint; port 0 chooses one; - for none",
    )
    health_address: str = setting(
        "KEFU_PREPROCESS_HEALTH_ADDRESS",
        "-",
        "a second door with health alone, for a kubelet, which cannot ask a unix socket: host:port; - for none",
    )
    settle_seconds: float = setting(
        "KEFU_PREPROCESS_SETTLE_SECONDS",
        0.0,
        "seconds between health going off and new calls being refused",
        minimum=0,
        maximum=60,
    )
    drain_seconds: float = setting(
        "KEFU_PREPROCESS_DRAIN_SECONDS",
        20.0,
        "seconds that running calls have to finish after SIGTERM",
        minimum=0,
        maximum=600,
    )
    log_level: str = setting(
        "KEFU_PREPROCESS_LOG_LEVEL",
        "info",
        "least level that is logged",
        choices=("debug", "info", "warning", "error"),
    )
    log_form: str = setting(
        "KEFU_PREPROCESS_LOG_FORM",
        "auto",
        "json, text, or auto: text on a terminal, else json",
        choices=FORMS,
    )
    traces: str = setting(
        "KEFU_PREPROCESS_TRACES",
        "off",
        "off, or otlp: spans under the gateway's go to OTEL_EXPORTER_OTLP_ENDPOINT over gRPC",
        choices=MODES,
    )

    @property
    def worker_count(self) -> int:
        """Worker processes to run."""
        return self.workers or _cores()

    @property
    def limits(self) -> Limits:
        """What a picture may be."""
        return Limits(
            max_bytes=self.max_bytes,
            max_pixels=self.max_pixels,
            max_pixels_scaled=self.max_pixels_scaled,
        )
