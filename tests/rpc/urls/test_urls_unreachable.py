"""Hosts that cannot be reached: one error in the same words, whatever stood in the way.

Else the error would tell which addresses and ports inside are open; a scanner needs no more.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from kefu_common.errors import KefuError
from kefu_gateway.adapters.fetching.outcomes import Outcome
from tests.rpc.urls.hosts import IMPATIENT, NAME, PUBLIC, Hosts, Reader, Writer, listening, tls_for


async def _silent(reader: Reader, writer: Writer) -> None:
    await reader.read()


@asynccontextmanager
async def _refuses(_authority: trustme.CA) -> AsyncIterator[int]:
    with socket.socket() as closed:
        closed.bind((PUBLIC, 0))
        yield closed.getsockname()[1]


@asynccontextmanager
async def _drops(_authority: trustme.CA) -> AsyncIterator[int]:
    """A listener whose backlog is full drops what arrives, as a firewall does."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind((PUBLIC, 0))
        full.listen(0)
        for one in (first, second):
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        yield full.getsockname()[1]


@asynccontextmanager
async def _keeps_silent(_authority: trustme.CA) -> AsyncIterator[int]:
    async with listening(_silent, None) as port:
        yield port


@asynccontextmanager
async def _speaks_plainly(_authority: trustme.CA) -> AsyncIterator[int]:
    async def greet(reader: Reader, writer: Writer) -> None:
        writer.write(b"-ERR wrong number of arguments\r\n")
        await writer.drain()
        writer.close()

    async with listening(greet, None) as port:
        yield port


UNREACHABLE: dict[str, Callable[[trustme.CA], AbstractAsyncContextManager[int]]] = {
    "a closed port": _refuses,
    "a dropping firewall": _drops,
    "an open port that says nothing": _keeps_silent,
    "a service without TLS": _speaks_plainly,
    "another authority": lambda _: listening(_silent, tls_for(trustme.CA(), NAME)),
    "another name": lambda ca: listening(_silent, tls_for(ca, "evil.test")),
    "a name too high": lambda ca: listening(_silent, tls_for(ca, "*.test")),
    "a certificate for the address": lambda ca: listening(_silent, tls_for(ca, PUBLIC)),
    "a certificate that has run out": lambda ca: listening(
        _silent, tls_for(ca, NAME, not_after=datetime.now(UTC) - timedelta(hours=1))
    ),
}


async def test_what_cannot_be_reached_is_told_in_the_same_words(
    hosts: Hosts, refused: Counter[str]
) -> None:
    """Else the error would tell which ports inside are open: a scanner needs no more."""
    told = {}
    for name, opened in UNREACHABLE.items():
        async with opened(hosts.authority) as port:
            fetcher = hosts.fetcher(IMPATIENT, ports=str(port))
            with pytest.raises(KefuError) as caught:
                await fetcher.fetch(f"https://{NAME}:{port}/", timeout=60)
        told[name] = (caught.value.reason, caught.value.message, caught.value.metadata)
        refused[Outcome.UNREACHABLE.value] += 1
    hosts.names.answers[NAME] = []
    with pytest.raises(KefuError) as caught:
        await hosts.fetcher().fetch(hosts.url(), timeout=60)
    unknown = caught.value
    refused[Outcome.UNREACHABLE.value] += 1
    told["a name that does not exist"] = (unknown.reason, unknown.message, unknown.metadata)
    first, *others = told.values()
    assert first[2] == {"cause": "unreachable"}
    assert all(other == first for other in others), told


async def test_name_server_that_does_not_answer(hosts: Hosts, refused: Counter[str]) -> None:
    async def never(host: str) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError

    hosts.names.addresses = never  # type: ignore[method-assign]
    with pytest.raises(KefuError) as caught:
        await hosts.fetcher(IMPATIENT).fetch(hosts.url(), timeout=60)
    assert caught.value.metadata == {"cause": "unreachable"}
    refused[Outcome.UNREACHABLE.value] += 1
