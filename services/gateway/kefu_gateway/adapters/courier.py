"""Takes posts to other gateways through the session store's channel, and brings theirs here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from kefu_common.errors import KefuError
from kefu_common.lifecycle import told_to_end
from kefu_gateway.domain.conversations import Post
from kefu_gateway.domain.session import SessionStore
from kefu_gateway.wire.posts import post_from_bytes, post_to_bytes

log = structlog.get_logger()

# Posts that wait to be sent. Past this the store is away, and waiting callers ask it themselves when it is back.
MOST_WAITING = 10_000
# Seconds between two tries to listen, while the store is away.
LISTEN_AGAIN = 1.0


class StoreCourier:
    """Implements the port Courier. `run` does the work until cancelled."""

    def __init__(self, store: SessionStore, gateway: str) -> None:
        self._store = store
        self._gateway = gateway
        self._outbox: asyncio.Queue[tuple[str, Post]] = asyncio.Queue(MOST_WAITING)

    def send(self, gateway: str, post: Post) -> None:
        try:
            self._outbox.put_nowait((gateway, post))
        except asyncio.QueueFull:
            log.warning("a post to another gateway was dropped", waiting=MOST_WAITING)

    async def run(self, receive: Callable[[Post], None]) -> None:
        """Sends what is in the outbox, in order, and gives what arrives to `receive`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send())
            group.create_task(self._listen(receive))

    async def _send(self) -> None:
        while not told_to_end():
            gateway, post = await self._outbox.get()
            try:
                await self._store.publish(gateway, post_to_bytes(post))
            except KefuError as error:
                log.warning("a post to another gateway was lost", reason=error.reason.value)

    async def _listen(self, receive: Callable[[Post], None]) -> None:
        while not told_to_end():
            try:
                async with self._store.listen(self._gateway) as messages:
                    async for message in messages:
                        self._take(message, receive)
            except KefuError as error:
                log.warning("not listening to other gateways", reason=error.reason.value)
            await asyncio.sleep(LISTEN_AGAIN)

    def _take(self, message: bytes, receive: Callable[[Post], None]) -> None:
        try:
            post = post_from_bytes(message)
        except ValueError:
            log.warning("a message that is no post was ignored")
            return
        receive(post)
