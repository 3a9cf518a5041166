"""The channel to Triton, with TLS where the settings say so; made anew when a certificate changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import grpc
import structlog

from kefu_common.server import upstream_options
from kefu_gateway.adapters.dialects import Dialects
from kefu_gateway.adapters.identity.reloading import Reloading
from kefu_gateway.adapters.model_states import ModelStates
from kefu_gateway.adapters.stock import StockTensors
from kefu_gateway.adapters.triton import ContractDialect, StallLimits, TritonHost
from kefu_gateway.app.tasks import cancel_all
from kefu_gateway.config import Settings

log = structlog.get_logger()


@asynccontextmanager
async def open_triton(
    settings: Settings,
    secrets: Reloading[grpc.ChannelCredentials] | None,
    stock: Mapping[str, StockTensors],
) -> AsyncIterator[TritonHost]:
    """`secrets`: how to trust Triton and be known to it; None: no TLS. `stock`: what speaks to a model, by name, where
    Triton's own vLLM backend serves it."""
    stall = StallLimits(
        first_token=settings.first_token_seconds, next_token=settings.next_token_seconds
    )
    channel = _channel(settings, secrets)
    dialects = Dialects(stock, contract=ContractDialect())
    prober = TritonHost(channel, stall, dialects=dialects)
    host = TritonHost(channel, stall, prober=prober, dialects=dialects)
    tasks: list[asyncio.Task[None]] = []
    open_channels = [channel]

    async def renew() -> None:
        assert secrets is not None
        while True:
            await asyncio.sleep(settings.reload_seconds)
            if not secrets.check():
                continue
            # gRPC's client takes certificates once, when a channel is made. What runs on the old one ends there.
            new = _channel(settings, secrets)
            old, open_channels[:] = open_channels[-1], [new]
            host.use(new)
            tasks.append(asyncio.create_task(old.close(settings.turn_seconds)))

    if secrets is not None:
        tasks.append(asyncio.create_task(renew()))
    try:
        yield host
    finally:
        await cancel_all(tasks)
        await host.close()
        for channel in open_channels:
            await channel.close(None)


@asynccontextmanager
async def open_states(settings: Settings, host: TritonHost) -> AsyncIterator[ModelStates]:
    """What each model does; asks the model host where its address is set."""
    if settings.modelhost_address in ("", "-"):
        yield ModelStates(host, None, time.monotonic)
        return
    async with grpc.aio.insecure_channel(settings.modelhost_address) as channel:
        yield ModelStates(host, channel, time.monotonic)


def _channel(
    settings: Settings, secrets: Reloading[grpc.ChannelCredentials] | None
) -> grpc.aio.Channel:
    options: list[tuple[str, int | str]] = [*upstream_options(settings.message_bytes)]
    if secrets is None:
        return grpc.aio.insecure_channel(settings.triton_address, options=options)
    if settings.triton_tls_name:
        options.append(("grpc.ssl_target_name_override", settings.triton_tls_name))
    return grpc.aio.secure_channel(settings.triton_address, secrets.value, options=options)
