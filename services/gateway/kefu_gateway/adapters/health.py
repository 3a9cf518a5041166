"""Health that says what is missing: one check a dependency, each with its own rhythm.

Served as grpc.health.v1: "" and "kefu.chat.v1.ChatService" are SERVING when every check is, and each check stands by
itself as "kefu.dependency.<name>", so that `kefu health` can name the one that is down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import grpc
import structlog
from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer

from kefu_common.lifecycle import told_to_end

log = structlog.get_logger()

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
WHOLE = ("", "kefu.chat.v1.ChatService")
PREFIX = "kefu.dependency."


@dataclass(slots=True)
class Check:
    """One dependency. `probe` returns normally when it is there and raises when it is not."""

    name: str
    probe: Callable[[], Awaitable[None]]
    every: float
    timeout: float
    up: bool = field(default=False)


class Health:
    """Runs the checks and keeps the servicer's answers true."""

    def __init__(self, checks: Sequence[Check], told: Callable[[str, bool], None]) -> None:
        self.servicer = HealthServicer()
        self._checks = checks
        self._told = told
        self._draining = False

    async def run(self) -> None:
        """Checks until cancelled."""
        await self._publish()
        async with asyncio.TaskGroup() as group:
            for check in self._checks:
                group.create_task(self._watch(check))

    async def drain(self) -> None:
        """From now on every answer is NOT_SERVING."""
        self._draining = True
        await self.servicer.enter_graceful_shutdown()

    def up(self, name: str) -> bool:
        return any(check.up for check in self._checks if check.name == name)

    async def _watch(self, check: Check) -> None:
        while not told_to_end():
            up = await self._probe(check)
            if up != check.up:
                log.info("dependency changed", dependency=check.name, up=up)
                check.up = up
                await self._publish()
            self._told(check.name, up)
            await asyncio.sleep(check.every)

    async def _probe(self, check: Check) -> bool:
        try:
            async with asyncio.timeout(check.timeout):
                await check.probe()
        except Exception as error:  # whatever it is, the dependency did not answer
            log.debug("check failed", dependency=check.name, kind=type(error).__name__)
            return False
        return True

    async def _publish(self) -> None:
        if self._draining:
            return
        whole = SERVING if all(check.up for check in self._checks) else NOT_SERVING
        for name in WHOLE:
            await self.servicer.set(name, whole)
        for check in self._checks:
            await self.servicer.set(PREFIX + check.name, SERVING if check.up else NOT_SERVING)


async def ask_health(channel: grpc.aio.Channel) -> None:
    """Asks another process's grpc.health.v1; raises where it does not say SERVING."""
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    response = await check(health_pb2.HealthCheckRequest(), timeout=2.0)
    if response.status != SERVING:
        raise ConnectionError("not serving")
