"""Image hosts on loopback that misbehave on request: real sockets, real TLS, raw bytes.

    async with Hosts.open() as hosts:
        hosts.will("/a.png", answer(PNG))
        hosts.names.answers["img.kefu.test"] = [[PUBLIC]]
        await hosts.fetcher().fetch(hosts.url("/a.png"), timeout=60)

127.0.0.2 stands for the public internet, and 127.0.0.3, where nobody listens: an operator's setting lets them pass.
127.0.0.1 is the inside: whoever connects there is counted in `trespassers`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import trustme

from kefu_gateway.adapters.fetching.addresses import AddressRules
from kefu_gateway.adapters.fetching.fetcher import FetchLimits, UrlFetcher
from kefu_gateway.adapters.fetching.urls import UrlRules
from tests.fixtures.pictures import page

PUBLIC, INSIDE = "127.0.0.2", "127.0.0.1"
NAME = "img.kefu.test"
HOSTS = f"{NAME},other.kefu.test,wrong-name.kefu.test,*.cdn.kefu.test"
PICTURE = page("fetched", size=(160, 80))
# On a busy machine a good host is slow as well: only what is slow on purpose is met with HURRIED, once it is connected,
# and with IMPATIENT before.
LIMITS = FetchLimits(
    picture_bytes=64 * 1024, redirects=3, at_once=2, connect=60, silence=60, total=60
)
HURRIED = replace(LIMITS, silence=0.4, total=1.5)
IMPATIENT = replace(LIMITS, connect=0.5)

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Script = Callable[[Reader, Writer], Awaitable[None]]


def answer(
    body: bytes = PICTURE,
    *headers: str,
    status: str = "200 OK",
    content_type: str | None = "image/png",
    length: int | None = -1,
) -> bytes:
    """An HTTP/1.1 response; `length` -1: the body's own, None: no header."""
    lines = [f"HTTP/1.1 {status}", *headers]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length == -1 else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    return answer(b"", f"Location: {location}", status=status)


@dataclass
class Names:
    """The resolver: each name's answers in order, the last one for ever. Counts what was asked."""

    answers: dict[str, list[Sequence[str]]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)

    async def addresses(self, host: str) -> Sequence[str]:
        self.asked[host] += 1
        answers = self.answers.get(host)
        if not answers:
            raise OSError("no such name")
        return answers[min(self.asked[host], len(answers)) - 1]


@dataclass
class Hosts:
    """`port`: of the public host (TLS) and of the inside (anything). `requests`: heads as they arrived."""

    authority: trustme.CA
    port: int
    names: Names
    counted: Counter[str] = field(default_factory=Counter)
    requests: list[bytes] = field(default_factory=list)
    trespassers: int = 0
    scripts: dict[str, Script | bytes] = field(default_factory=dict)

    def url(self, path: str = "/", name: str = NAME) -> str:
        return f"https://{name}:{self.port}{path}"

    def will(self, path: str, script: Script | bytes) -> None:
        self.scripts[path] = script

    def fetcher(
        self, limits: FetchLimits = LIMITS, *, ports: str = "", hosts: str = HOSTS
    ) -> UrlFetcher:
        # Only the test's own authority; reading the system's takes longer than a whole case.
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.authority.configure_trust(tls)
        return UrlFetcher(
            limits,
            UrlRules.read(hosts, ports or f"443,{self.port}"),
            AddressRules.read(f"{PUBLIC}/31"),
            self.names,
            tls,
            lambda outcome: self.counted.update([outcome]),
        )

    async def serve(self, reader: Reader, writer: Writer) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(head)
            script = self.scripts[head.split(b" ")[1].decode()]
            if isinstance(script, bytes):
                writer.write(script)
                await writer.drain()
            else:
                await script(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the fetcher has left, as it should
        finally:
            await _close(writer)

    async def trespass(self, _reader: Reader, writer: Writer) -> None:
        self.trespassers += 1
        await _close(writer)

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[Hosts]:
        # A port that is free on one address may be taken on the other: by chance one in a few hundred is.
        for _ in range(20):
            async with contextlib.AsyncExitStack() as stack:
                try:
                    hosts = await cls._listen(stack)
                except OSError:
                    continue
                yield hosts
                return
        raise OSError("no port is free on both addresses")

    @classmethod
    async def _listen(cls, stack: contextlib.AsyncExitStack) -> Hosts:
        outside = listening(lambda r, w: hosts.serve(r, w), _own_tls())
        port = await stack.enter_async_context(outside)
        hosts = cls(_authority(), port, Names({NAME: [[PUBLIC]]}))
        await stack.enter_async_context(listening(hosts.trespass, None, INSIDE, port))
        return hosts


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


@cache
def _own_tls() -> ssl.SSLContext:
    return tls_for(_authority(), NAME, "other.kefu.test", "*.cdn.kefu.test")


def tls_for(authority: trustme.CA, *names: str, **dates: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names, **dates).configure_cert(context)
    return context


@asynccontextmanager
async def listening(
    serve: Script, tls: ssl.SSLContext | None, address: str = PUBLIC, port: int = 0
) -> AsyncIterator[int]:
    """A server; its port. Handlers that still run at the end are cancelled."""
    running: set[asyncio.Task[Any]] = set()

    async def handle(reader: Reader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        with contextlib.suppress(asyncio.CancelledError):
            await serve(reader, writer)
        running.discard(task)

    server = await asyncio.start_server(handle, address, port, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _close(writer: Writer) -> None:
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
