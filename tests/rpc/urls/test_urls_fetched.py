"""Pictures by URL that are allowed: what goes over the wire, and the proof that the checked address is the one used."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import warnings
from dataclasses import replace

import pytest

from kefu_common.errors import KefuError
from tests.rpc.urls.hosts import (
    INSIDE,
    LIMITS,
    NAME,
    PICTURE,
    PUBLIC,
    Hosts,
    Reader,
    Writer,
    answer,
    listening,
    redirect,
)


async def test_a_picture_and_all_that_was_sent_for_it(hosts: Hosts) -> None:
    hosts.will("/%E5%8F%91%E7%A5%A8.png?sign=s3cret", answer())
    url = hosts.url("/发票.png?sign=s3cret#page")
    assert await hosts.fetcher().fetch(url, timeout=60) == PICTURE
    (head,) = hosts.requests
    assert head.decode().split("\r\n") == [
        "GET /%E5%8F%91%E7%A5%A8.png?sign=s3cret HTTP/1.1",
        f"Host: {NAME}:{hosts.port}",
        "User-Agent: kefu",
        "Accept: image/*, application/pdf",
        "Accept-Encoding: identity",
        "Connection: close",
        "",
        "",
    ]
    assert hosts.counted == {"fetched": 1}


@pytest.mark.parametrize(
    "content_type", ["image/png; q=1", "IMAGE/PNG", "application/octet-stream", None]
)
async def test_types_that_servers_say(hosts: Hosts, content_type: str | None) -> None:
    hosts.will("/", answer(content_type=content_type))
    assert await hosts.fetcher().fetch(hosts.url(), timeout=60) == PICTURE


async def test_chunks_and_no_length(hosts: Hosts) -> None:
    middle = len(PICTURE) // 2
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(c), c) for c in (PICTURE[:5], PICTURE[5:middle], PICTURE[middle:])
    )
    hosts.will("/c", answer(chunks + b"0\r\n\r\n", "Transfer-Encoding: chunked", length=None))
    hosts.will("/n", answer(length=None))
    for path in ("/c", "/n"):
        assert await hosts.fetcher().fetch(hosts.url(path), timeout=60) == PICTURE


async def test_as_large_as_allowed(hosts: Hosts) -> None:
    hosts.will("/", answer())
    fetcher = hosts.fetcher(replace(LIMITS, picture_bytes=len(PICTURE)))
    assert await fetcher.fetch(hosts.url(), timeout=60) == PICTURE


async def test_redirects_carry_no_cookie_and_resolve_each_hop_once(hosts: Hosts) -> None:
    cookie, location = "Set-Cookie: session=1", f"https://a.cdn.kefu.test:{hosts.port}/2"
    hosts.will("/1", answer(b"", cookie, f"Location: {location}", status="302 Found"))
    hosts.will("/2", redirect("?3", "308 Permanent Redirect"))
    hosts.names.answers["a.cdn.kefu.test"] = [[PUBLIC]]
    hosts.will("/2?3", answer())
    assert await hosts.fetcher().fetch(hosts.url("/1"), timeout=60) == PICTURE
    assert hosts.names.asked == {NAME: 1, "a.cdn.kefu.test": 2}
    assert not any(b"cookie" in head.lower() for head in hosts.requests)


async def test_the_checked_address_is_the_one_that_is_used(hosts: Hosts) -> None:
    """DNS rebinding: the name is public when it is checked, and inside for everyone who asks again. Nobody does."""
    hosts.names.answers[NAME] = [[PUBLIC], [INSIDE]]
    hosts.will("/", answer())
    assert await hosts.fetcher().fetch(hosts.url(), timeout=60) == PICTURE
    assert hosts.names.asked[NAME] == 1
    assert hosts.trespassers == 0


async def test_another_address_where_the_first_is_dead(hosts: Hosts) -> None:
    hosts.names.answers[NAME] = [["127.0.0.3", PUBLIC]]
    hosts.will("/", answer())
    assert await hosts.fetcher().fetch(hosts.url(), timeout=60) == PICTURE


async def test_proxies_of_the_environment_see_nothing(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught = []

    async def proxy(reader: Reader, writer: Writer) -> None:
        caught.append(await reader.read(100))
        writer.close()

    async with listening(proxy, None, INSIDE) as port:
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://{INSIDE}:{port}")
        hosts.will("/", answer())
        assert await hosts.fetcher().fetch(hosts.url(), timeout=60) == PICTURE
    assert not caught


async def test_the_caller_leaves_and_the_connection_goes(hosts: Hosts) -> None:
    gone = asyncio.Event()

    async def until_left(reader: Reader, writer: Writer) -> None:
        await reader.read()
        gone.set()

    hosts.will("/", until_left)
    task = asyncio.create_task(hosts.fetcher().fetch(hosts.url(), timeout=60))
    while not hosts.requests:
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await asyncio.wait_for(gone.wait(), 60)
    assert hosts.counted == {"cancelled": 1}


async def test_a_handshake_that_is_given_up_leaves_no_socket(hosts: Hosts) -> None:
    """httpcore2 closes a stream whose handshake fails, but not one whose handshake is cancelled."""
    left = asyncio.Event()

    async def silent(reader: Reader, writer: Writer) -> None:
        await reader.read()  # the client's hello, then its leaving
        await reader.read()
        left.set()
        writer.close()

    async with listening(silent, None) as port:
        fetcher = hosts.fetcher(replace(LIMITS, total=1), ports=str(port))
        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            with pytest.raises(KefuError):
                await fetcher.fetch(f"https://{NAME}:{port}/", timeout=60)
            await asyncio.wait_for(left.wait(), 60)
            gc.collect()


async def test_only_so_many_at_once(hosts: Hosts) -> None:
    running = most = 0

    async def counted(reader: Reader, writer: Writer) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.05)
        running -= 1
        writer.write(answer())
        await writer.drain()

    hosts.will("/", counted)
    fetcher = hosts.fetcher()
    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(fetcher.fetch(hosts.url(), timeout=60))
    assert most == LIMITS.at_once
