"""Builds and runs the supervisor."""

from __future__ import annotations

import asyncio
import os
import signal

import grpc
import structlog

from kefu.modelhost.v1 import status_service_pb2_grpc
from kefu_common.health_door import health_door
from kefu_modelhost.exposition import exposed
from kefu_modelhost.health import Readiness
from kefu_modelhost.settings import Settings
from kefu_modelhost.supervisor import Supervisor
from kefu_modelhost.telling import StatusServicer

log = structlog.get_logger()


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, which drain; a second one leaves at once."""
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            log.warning("modelhost.second_signal")
            os._exit(130)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    readiness = Readiness()
    supervisor = Supervisor(settings, readiness.tell)

    def tell_models(server: grpc.aio.Server) -> None:
        servicer = StatusServicer(supervisor.status)
        status_service_pb2_grpc.add_StatusServiceServicer_to_server(servicer, server)

    async with (
        health_door(settings.health_address, readiness.servicer, tell_models),
        exposed(settings.host_metrics_address, supervisor.status),
    ):
        await supervisor.run(stop)
