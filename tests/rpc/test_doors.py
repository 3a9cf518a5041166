"""The doors between our processes: health for a kubelet, and calls spread over every address of a name."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from kefu_common.health_door import PROCESS, health_door
from kefu_common.server import upstream_options

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


async def asked(address: str, service: str) -> int:
    async with grpc.aio.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        response = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=60)
        return int(response.status)


async def test_the_process_lives_while_a_dependency_is_down() -> None:
    servicer = HealthServicer()
    await servicer.set("", NOT_SERVING)
    async with health_door("127.0.0.1:0", servicer) as port:
        assert await asked(f"127.0.0.1:{port}", "") == NOT_SERVING
        assert await asked(f"127.0.0.1:{port}", PROCESS) == SERVING
        await servicer.set("", SERVING)
        assert await asked(f"127.0.0.1:{port}", "") == SERVING


async def test_the_door_has_health_and_nothing_else() -> None:
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(health_door("127.0.0.1:0", HealthServicer()))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        call = channel.unary_unary("/kefu.chat.v1.ChatService/Chat")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"", timeout=60)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await check(b"x" * 5000, timeout=60)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("address", ["", "-"])
async def test_no_door_unless_it_is_asked_for(address: str) -> None:
    async with health_door(address, HealthServicer()) as port:
        assert port is None


async def test_calls_go_in_turn_to_every_address_of_a_name() -> None:
    """gRPC's default is the first address alone: behind a headless Service one Triton worked and the others idled."""
    servers = [HealthServicer(), HealthServicer()]
    async with AsyncExitStack() as stack:
        for number, servicer in enumerate(servers):
            await servicer.set(f"number.{number}", SERVING)
        ports = [
            await stack.enter_async_context(health_door("127.0.0.1:0", servicer))
            for servicer in servers
        ]
        name = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
        channel = await stack.enter_async_context(
            grpc.aio.insecure_channel(name, options=upstream_options(1024 * 1024))
        )
        stub = health_pb2_grpc.HealthStub(channel)

        async def ask() -> bool:
            try:
                await stub.Check(health_pb2.HealthCheckRequest(service="number.0"), timeout=60)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
                return False
            return True

        # The first calls go to whoever is connected first: only what comes after both are is shared evenly.
        async with asyncio.timeout(60):
            while len({await ask() for _ in range(4)}) < 2:
                pass
        assert sorted([await ask() for _ in range(20)]) == [False] * 10 + [True] * 10
