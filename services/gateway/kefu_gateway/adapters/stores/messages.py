"""Messages to gateways inside one process: what SQLite's single gateway needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# Messages that may wait for a listener that does not keep up; the oldest is dropped then, as the port allows.
WAITING = 10_000


class LocalMessages:
    """Every listener of a name gets every message to it, from the moment of entering."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[asyncio.Queue[bytes]]] = {}

    def publish(self, gateway: str, message: bytes) -> None:
        for queue in self._listeners.get(gateway, ()):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(message)

    @asynccontextmanager
    async def listen(self, gateway: str) -> AsyncIterator[AsyncIterator[bytes]]:
        queue: asyncio.Queue[bytes] = asyncio.Queue(WAITING)
        self._listeners.setdefault(gateway, []).append(queue)
        try:
            yield _messages(queue)
        finally:
            listeners = self._listeners[gateway]
            listeners.remove(queue)
            if not listeners:
                del self._listeners[gateway]


async def _messages(queue: asyncio.Queue[bytes]) -> AsyncIterator[bytes]:
    while True:
        yield await queue.get()
