"""A second door for those who only ask whether we live: plain gRPC, grpc.health.v1 and nothing else.

async with health_door("0.0.0.0:50052", servicer) as port: ...

A kubelet's gRPC probe speaks neither TLS nor unix sockets, and has no API key: the door that callers use may want all
three. It asks for `kefu.process` to learn whether the process itself still answers (a restart would help), and for ""
to learn whether it should get work (a restart would not help: it is a dependency that is down).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

PROCESS = "kefu.process"
OFF = ("", "-")
# A probe asks one short question; whoever holds more open is not a probe.
_MOST_CALLS = 32
_MOST_BYTES = 4096


@asynccontextmanager
async def health_door(
    address: str,
    servicer: HealthServicer,
    also: Callable[[grpc.aio.Server], None] | None = None,
) -> AsyncIterator[int | None]:
    """Listens on host:port (port 0 chooses one) and yields the port; None where the address is `-`.

    `also` may add what else is served there, before it listens.

    Raises OSError where the address is taken.
    """
    if address in OFF:
        yield None
        return
    server = grpc.aio.server(
        maximum_concurrent_rpcs=_MOST_CALLS,
        options=[("grpc.max_receive_message_length", _MOST_BYTES), ("grpc.so_reuseport", 0)],
    )
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError:
        raise OSError(f"{address}: health cannot be served there") from None
    if also is not None:
        also(server)
    await servicer.set(PROCESS, health_pb2.HealthCheckResponse.SERVING)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)
