"""Names to addresses, once a hop: what is checked is what is connected to, and nobody asks again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

# The system's resolver blocks a thread, also when nobody waits for it any more: it gets its own few.
_THREADS = 8


class Resolver(Protocol):
    async def addresses(self, host: str) -> Sequence[str]:
        """Every address of a name. Raises OSError where it has none."""
        ...


class SystemResolver:
    """getaddrinfo, with all that /etc/hosts and resolv.conf say."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="resolver")

    async def addresses(self, host: str) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _look_up, host)
        return list(dict.fromkeys(found))


def _look_up(host: str) -> list[str]:
    return [
        str(address[0])
        for _, _, _, _, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    ]
