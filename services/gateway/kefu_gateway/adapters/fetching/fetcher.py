"""Fetches a picture by its URL, hop by hop; every hop is checked as if it were the first.

    fetcher = UrlFetcher(FetchLimits(), url_rules, address_rules, SystemResolver(), tls, counted)
    data = await fetcher.fetch("https://img.example.com/1.png", timeout=5.0)

A connection serves one request. Nothing of a URL but its host, and only where that is on the list, is ever logged.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

import httpcore2
import structlog

from kefu_gateway.adapters.fetching.addresses import AddressRules
from kefu_gateway.adapters.fetching.content import ENOUGH, check_beginning, check_declared
from kefu_gateway.adapters.fetching.outcomes import Outcome, Refused
from kefu_gateway.adapters.fetching.pinned import PinnedBackend
from kefu_gateway.adapters.fetching.resolver import Resolver
from kefu_gateway.adapters.fetching.urls import Target, UrlRules

log = structlog.get_logger()

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """Bytes of a picture; redirects of a fetch; fetches at once. Seconds: to resolve, connect and shake hands at each
    hop, without any byte, and for everything together."""

    picture_bytes: int = 20 * 1024 * 1024
    redirects: int = 3
    at_once: int = 16
    connect: float = 3.0
    silence: float = 5.0
    total: float = 15.0


@dataclass(slots=True)
class _Progress:
    """How far a fetch came: a time-out says something else before a server has proved its name."""

    host: str = ""
    redirects: int = 0
    connected: bool = False


class UrlFetcher:
    """Implements the port PictureFetcher. `counted` is told of every outcome."""

    def __init__(
        self,
        limits: FetchLimits,
        urls: UrlRules,
        addresses: AddressRules,
        resolver: Resolver,
        tls: ssl.SSLContext,
        counted: Callable[[str], None],
    ) -> None:
        self._limits = limits
        self._urls = urls
        self._addresses = addresses
        self._resolver = resolver
        self._tls = tls
        self._counted = counted
        self._places = asyncio.Semaphore(limits.at_once)

    async def fetch(self, url: str, *, timeout: float) -> bytes:
        start, progress = time.perf_counter(), _Progress()
        outcome, kind, size = Outcome.CANCELLED, "", 0
        try:
            async with asyncio.timeout(min(timeout, self._limits.total)), self._places:
                data = await self._follow(self._urls.target(url), progress)
            outcome, size = Outcome.FETCHED, len(data)
            return data
        except TimeoutError:
            refused = Refused(Outcome.TOO_SLOW if progress.connected else Outcome.UNREACHABLE)
            outcome, kind = refused.outcome, "TimeoutError"
            raise refused.as_error() from None
        except Refused as refused:
            outcome, kind = refused.outcome, refused.kind
            raise refused.as_error() from None
        finally:
            self._counted(outcome.value)
            log.info(
                "url fetch",
                outcome=outcome.value,
                host=progress.host,
                kind=kind,
                bytes=size,
                redirects=progress.redirects,
                milliseconds=round((time.perf_counter() - start) * 1000, 2),
            )

    async def _follow(self, target: Target, progress: _Progress) -> bytes:
        while True:
            progress.host, progress.connected = target.host, False
            found = await self._hop(target, progress)
            if isinstance(found, bytes):
                return found
            progress.redirects += 1
            if progress.redirects > self._limits.redirects:
                raise Refused(Outcome.TOO_MANY_REDIRECTS)
            target = self._urls.target(target.join(found))

    async def _hop(self, target: Target, progress: _Progress) -> bytes | str:
        """One request: the picture, or the URL that it is redirected to. Raises Refused."""
        try:
            async with asyncio.timeout(self._limits.connect):
                addresses = self._addresses.check(await self._resolver.addresses(target.host))
            if not addresses:
                raise Refused(Outcome.UNREACHABLE)
            backend = PinnedBackend(target.host, target.port, addresses)
            async with aclosing(backend), self._connection(target, backend) as connection:
                response = await connection.handle_async_request(self._request(target, progress))
                async with aclosing(response):
                    if response.status in _REDIRECTS:
                        return _location(response)
                    return await self._body(response)
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout, OSError, UnicodeError) as error:
            raise Refused(Outcome.UNREACHABLE, kind=_kind(error)) from None
        except (httpcore2.ReadTimeout, httpcore2.WriteTimeout) as error:
            # TLS stood, so the server proved its name: that it is slow is nobody's secret.
            raise Refused(Outcome.TOO_SLOW, kind=_kind(error)) from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise Refused(Outcome.BROKEN, kind=_kind(error)) from None

    def _connection(self, target: Target, backend: PinnedBackend) -> httpcore2.AsyncHTTPConnection:
        return httpcore2.AsyncHTTPConnection(
            httpcore2.Origin(b"https", target.host.encode(), target.port),
            ssl_context=self._tls,
            network_backend=backend,
        )

    def _request(self, target: Target, progress: _Progress) -> httpcore2.Request:
        limits = self._limits

        async def trace(event: str, _facts: object) -> None:
            progress.connected |= event == "connection.start_tls.complete"

        return httpcore2.Request(
            b"GET",
            httpcore2.URL(
                scheme=b"https",
                host=target.host.encode(),
                port=target.port,
                target=target.path.encode(),
            ),
            headers=[
                (b"Host", target.authority.encode()),
                (b"User-Agent", b"kefu"),
                (b"Accept", b"image/*, application/pdf"),
                (b"Accept-Encoding", b"identity"),
                (b"Connection", b"close"),
            ],
            extensions={
                "timeout": {
                    "connect": limits.connect,
                    "read": limits.silence,
                    "write": limits.silence,
                },
                "trace": trace,
            },
        )

    async def _body(self, response: httpcore2.Response) -> bytes:
        headers = {name.lower(): value for name, value in response.headers}
        if response.status != 200:
            raise Refused(Outcome.STATUS_REFUSED, status=response.status)
        if headers.get(b"content-encoding", b"identity").strip().lower() not in (b"", b"identity"):
            raise Refused(Outcome.ENCODING_REFUSED)
        declared = check_declared(headers.get(b"content-type", b"").decode("latin-1"))
        most = self._limits.picture_bytes
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > most:
            raise self._too_large()
        data, told = bytearray(), False
        async for chunk in response.aiter_stream():
            data += chunk
            if len(data) > most:
                raise self._too_large()
            if not told and len(data) >= ENOUGH:
                check_beginning(bytes(data[:ENOUGH]), declared)
                told = True
        if not data:
            raise Refused(Outcome.EMPTY)
        if not told:
            check_beginning(bytes(data), declared)
        return bytes(data)

    def _too_large(self) -> Refused:
        return Refused(Outcome.TOO_LARGE, limit=self._limits.picture_bytes, unit="bytes")


def _location(response: httpcore2.Response) -> str:
    found = [value for name, value in response.headers if name.lower() == b"location"]
    if len(found) != 1:
        raise Refused(Outcome.BROKEN)
    try:
        return found[0].decode("ascii")
    except UnicodeDecodeError:
        raise Refused(Outcome.URL_REFUSED) from None


def _kind(error: BaseException) -> str:
    """The names of an exception and of its causes; their words may hold anything."""
    names = []
    cause: BaseException | None = error
    while cause is not None:
        names.append(type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    return " < ".join(names[:4])
