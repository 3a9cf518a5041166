"""Messages between gateways through Valkey's publish and subscribe. A broken connection is made again; what was sent
meanwhile is lost, as the port allows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from kefu_common.lifecycle import told_to_end
from kefu_gateway.adapters.stores.failures import told

log = structlog.get_logger()

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
# A connection that says nothing for so long is asked whether it lives, and given up after as long again.
QUIET_SECONDS = 5.0


@asynccontextmanager
async def listen(client: Redis, channel: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """Every message to the channel from the moment of entering. Raises KefuError(STORE_UNAVAILABLE) where it cannot
    begin; later interruptions are waited out."""
    listener = _Listener(client, channel)
    with told("store", RedisError, OSError):
        await listener.subscribe()
    try:
        yield listener.messages()
    finally:
        await listener.close()


class _Listener:
    def __init__(self, client: Redis, channel: str) -> None:
        self._client = client
        self._channel = channel
        # redis-py's subscriptions are only partly typed.
        self._subscription: Any = None

    async def subscribe(self) -> None:
        """Returns when the server has confirmed. Raises RedisError, OSError."""
        await self.close()
        self._subscription = self._client.pubsub()
        await self._subscription.subscribe(self._channel)
        while (await self._next())["type"] != "subscribe":
            pass

    async def messages(self) -> AsyncIterator[bytes]:
        pause = FIRST_PAUSE_SECONDS
        while not told_to_end():
            try:
                if self._subscription is None:
                    await asyncio.sleep(pause)
                    await self.subscribe()
                    pause = FIRST_PAUSE_SECONDS
                message = await self._next()
            except (RedisError, OSError) as error:
                log.warning("messages interrupted", kind=type(error).__name__)
                await self.close()
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                continue
            if message["type"] == "message":
                yield message["data"]

    async def _next(self) -> Any:
        message = await self._subscription.get_message(timeout=QUIET_SECONDS)
        if message is None:
            await self._subscription.ping()
            message = await self._subscription.get_message(timeout=QUIET_SECONDS)
        if message is None:
            raise ConnectionError("the connection is silent")
        return message

    async def close(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.aclose()
