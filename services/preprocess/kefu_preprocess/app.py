"""Where the sidecar is put together: the one place that builds anything.

async with running(load(Settings, os.environ)) as sidecar:
    ...  # sidecar.server listens on the unix socket
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from kefu.preprocess.v1 import preprocess_service_pb2, preprocess_service_pb2_grpc
from kefu_common.health_door import health_door
from kefu_common.lifecycle import run_until_signal
from kefu_common.metrics import metrics_endpoint
from kefu_common.server import CallInterceptor, channel_options
from kefu_common.tracing import Tracing, open_tracing
from kefu_preprocess.adapters.cache import MemoryCache
from kefu_preprocess.adapters.metrics import PrometheusObserver
from kefu_preprocess.adapters.pool import WorkerPool
from kefu_preprocess.config import Settings
from kefu_preprocess.domain.preparation import Preparation
from kefu_preprocess.servicers.preprocess import PreprocessServicer

log = structlog.get_logger()

SERVICE = preprocess_service_pb2.DESCRIPTOR.services_by_name["PreprocessService"].full_name
# What a message has beside the picture: profile, report, elements.
_ENVELOPE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A running service. `metrics_port` is None where metrics are off."""

    server: grpc.aio.Server
    health: HealthServicer
    pool: WorkerPool
    metrics_port: int | None


@asynccontextmanager
async def running(settings: Settings, tracing: Tracing | None = None) -> AsyncIterator[Sidecar]:
    """Starts everything, and stops it at the end. Raises OSError where the socket cannot be had."""
    limits = settings.limits
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    observer = PrometheusObserver(registry)
    pool = WorkerPool(
        workers=settings.worker_count,
        queue=settings.queue,
        limits=limits,
        seconds=settings.time_limit_ms / 1000,
        memory_mb=settings.worker_memory_mb,
        on_ended=observer.worker_ended,
    )
    observer.watch(pool)
    cache = MemoryCache(settings.cache_mb * 1024 * 1024)
    preparation = Preparation(limits, pool, cache, observer)

    server = grpc.aio.server(
        interceptors=[CallInterceptor(tracing=tracing)],
        options=channel_options(settings.max_bytes + _ENVELOPE_BYTES),
    )
    checks = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    preprocess_service_pb2_grpc.add_PreprocessServiceServicer_to_server(
        PreprocessServicer(preparation), server
    )
    socket = _place_for(settings.socket)
    server.add_insecure_port(f"unix:{socket}")

    # Workers first: a service that listens is a service that can answer.
    await pool.start()
    address = "" if settings.metrics == "-" else settings.metrics
    try:
        with metrics_endpoint(address, registry) as metrics_port:
            await server.start()
            for name in ("", SERVICE):
                await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
            log.info(
                "listening",
                socket=str(socket),
                workers=settings.worker_count,
                metrics_port=metrics_port,
            )
            try:
                async with health_door(settings.health_address, checks):
                    yield Sidecar(server, checks, pool, metrics_port)
            finally:
                await server.stop(0)
    finally:
        await pool.stop()
        socket.unlink(missing_ok=True)


async def serve(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT, then drains."""
    # No trace begins here: the gateway's decision is followed.
    async with (
        open_tracing("kefu-preprocess", settings.traces, ratio=0) as tracing,
        running(settings, tracing) as sidecar,
    ):
        await run_until_signal(
            sidecar.server,
            begin_drain=sidecar.health.enter_graceful_shutdown,
            settle=settings.settle_seconds,
            drain=settings.drain_seconds,
        )


def _place_for(path: str) -> Path:
    socket = Path(path).absolute()
    socket.parent.mkdir(parents=True, exist_ok=True)
    return socket
