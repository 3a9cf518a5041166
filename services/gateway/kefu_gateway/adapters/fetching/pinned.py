"""The only way to a socket: TCP to one of the addresses that were checked, TLS verified against the name.

httpcore2 opens no connection by itself; it asks its backend. This one resolves nothing, and makes sure that the peer of
the socket that it hands out is the address that was checked.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any

import httpcore2
from httpcore2 import AnyIOBackend, AsyncNetworkBackend, AsyncNetworkStream


class PinnedBackend(AsyncNetworkBackend):
    """Connects `host` to the first of `addresses` that answers; knows no other host and no other way."""

    def __init__(self, host: str, port: int, addresses: Sequence[str]) -> None:
        self._host = host
        self._port = port
        self._addresses = addresses
        self._tcp = AnyIOBackend()
        self._opened: list[AsyncNetworkStream] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> AsyncNetworkStream:
        if (host, port) != (self._host, self._port):
            raise httpcore2.ConnectError
        share = None if timeout is None else timeout / len(self._addresses)
        for address in self._addresses:
            try:
                stream = await self._tcp.connect_tcp(
                    address, port, timeout=share, socket_options=socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
            self._opened.append(stream)
            peer = stream.get_extra_info("server_addr")
            if peer is None or ipaddress.ip_address(peer[0]) != ipaddress.ip_address(address):
                raise httpcore2.ConnectError
            return stream
        raise httpcore2.ConnectError

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> AsyncNetworkStream:
        raise httpcore2.ConnectError

    async def aclose(self) -> None:
        """Closes what was opened: a fetch that is cancelled during the handshake leaves its socket to nobody else."""
        for stream in self._opened:
            await stream.aclose()
