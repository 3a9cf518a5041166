"""Every way to make the gateway fetch what it should not, each refused with its outcome and counted.

Hosts are real servers with real TLS on loopback: 127.0.0.2 stands for the internet, 127.0.0.1 for the inside, where
nobody may ever arrive (hosts.py).
"""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from kefu_common.errors import KefuError
from kefu_gateway.adapters.fetching.fetcher import FetchLimits
from kefu_gateway.adapters.fetching.outcomes import Outcome
from tests.fixtures.pictures import page
from tests.rpc.urls.hosts import (
    HURRIED,
    INSIDE,
    LIMITS,
    NAME,
    PICTURE,
    PUBLIC,
    Hosts,
    Reader,
    Script,
    Writer,
    answer,
    redirect,
)


async def refusal(hosts: Hosts, url: str, limits: FetchLimits) -> KefuError:
    """How a fetch ended that must not succeed; nobody arrived inside."""
    with pytest.raises(KefuError) as caught:
        await hosts.fetcher(limits).fetch(url, timeout=60)
    assert not hosts.trespassers, "somebody connected to the inside"
    assert caught.value.field == "url"
    return caught.value


async def expect(hosts: Hosts, refused: Counter[str], url: str, outcome: Outcome) -> KefuError:
    limits = HURRIED if outcome is Outcome.TOO_SLOW else LIMITS
    error = await refusal(hosts, url, limits)
    assert error.metadata["cause"] == outcome
    assert hosts.counted == {outcome: 1}
    refused[outcome.value] += 1
    return error


# ---- the URL itself: refused before anything is asked or sent

FORMS = [
    "",
    "img.kefu.test/a.png",
    "//img.kefu.test/a.png",
    "http://img.kefu.test/a.png",
    "ftp://img.kefu.test/a.png",
    "file:///etc/passwd",
    "gopher://img.kefu.test:443/_GET",
    "data:image/png;base64,iVBORw0KGgo=",
    "https:img.kefu.test/a.png",
    "https:/img.kefu.test/a.png",
    "https:///img.kefu.test/a.png",
    "https://",
    "https://user:secret@img.kefu.test/",
    "https://user@img.kefu.test/",
    "https://img.kefu.test@evil.test/",
    "https://evil.test\\@img.kefu.test/",
    "https://img.kefu.test\\.evil.test/",
    "https://img.kefu.test%2eevil.test/",
    "https://img.kefu.test%00.evil.test/",
    "https://img.kefu.test\t.evil.test/",
    "https://img.kefu.test\n/a.png",
    "https://img.kefu.test/a b.png",
    "https://img.kefu.test/\r\nHost: evil.test",
    " https://img.kefu.test/a.png",
    "https://img.kefu.test./a.png",
    "https://.img.kefu.test/a.png",
    "https://img..kefu.test/a.png",
    "https://-img.kefu.test/a.png",
    "https://img。kefu。test/a.png",
    "https://ｉｍｇ.kefu.test/a.png",
    "https://img.kefu.test:/a.png",
    "https://img.kefu.test:80/a.png",
    "https://img.kefu.test:22/",
    "https://img.kefu.test:6379/",
    "https://img.kefu.test:0/",
    "https://img.kefu.test:99999/",
    "https://img.kefu.test:443:80/",
    "https://img.kefu.test/" + "a" * 4096,
    "https://" + "a." * 140 + "cdn.kefu.test/",
    # An IP address, however it is written, is no host's name.
    "https://127.0.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://2130706433/",
    "https://0177.0.0.1/",
    "https://0x7f.0.0.1/",
    "https://0x7f000001/",
    "https://127.1/",
    "https://0/",
    "https://127.0.0.1./",
    "https://①②⑦.⓪.⓪.①/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fd00:ec2::254]/latest/meta-data/",
]
# Names that are not on the list, among them the tricks on lists that compare carelessly.
STRANGERS = [
    "https://evil.test/",
    "https://localhost/",
    "https://metadata.google.internal/computeMetadata/v1/",
    "https://kefu.test/",
    "https://cdn.kefu.test/",
    "https://evilcdn.kefu.test/",
    "https://img.kefu.test.evil.test/",
    "https://a.cdn.kefu.test.evil.test/",
    "https://ximg.kefu.test/",
    "https://127.0.0.1.nip.io/",
    "https://0x7f.1.evil.test/",
]


@pytest.mark.parametrize("url", FORMS)
async def test_url_of_a_wrong_form(hosts: Hosts, refused: Counter[str], url: str) -> None:
    await expect(hosts, refused, url, Outcome.URL_REFUSED)
    assert not hosts.names.asked


@pytest.mark.parametrize("url", STRANGERS)
async def test_host_that_is_not_on_the_list(hosts: Hosts, refused: Counter[str], url: str) -> None:
    await expect(hosts, refused, url, Outcome.HOST_REFUSED)
    assert not hosts.names.asked, "the name of a stranger is not even looked up"


# ---- the addresses of an allowed name

ADDRESSES = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200",
    "127.0.0.1", "127.255.255.254", "169.254.0.1", "169.254.169.254", "169.254.170.2",
    "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255", "168.63.129.16",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8",
    "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:10::1", "2001:20::1", "2001:db8::1",
    "2002:7f00:1::", "2002:808:808::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254",
    "fd20:ce::254", "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1", "not an address",
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
async def test_name_with_an_address_inside(
    hosts: Hosts, refused: Counter[str], address: str
) -> None:
    hosts.names.answers[NAME] = [[address]]
    await expect(hosts, refused, hosts.url(), Outcome.ADDRESS_REFUSED)


@pytest.mark.parametrize("answers", [[PUBLIC, INSIDE], [INSIDE, PUBLIC], ["8.8.8.8", "::1"]])
async def test_one_wrong_address_refuses_the_name(
    hosts: Hosts, refused: Counter[str], answers: list[str]
) -> None:
    hosts.names.answers[NAME] = [answers]
    await expect(hosts, refused, hosts.url(), Outcome.ADDRESS_REFUSED)


# ---- hops

BAD_HOPS = {
    "to the inside by name": ("https://other.kefu.test:{port}/", Outcome.ADDRESS_REFUSED),
    "to the inside by address": ("https://127.0.0.1:{port}/", Outcome.URL_REFUSED),
    "to the metadata": ("https://169.254.169.254/latest/", Outcome.URL_REFUSED),
    "to http": ("http://img.kefu.test:{port}/", Outcome.URL_REFUSED),
    "to a stranger": ("https://evil.test/", Outcome.HOST_REFUSED),
    "to a stranger without scheme": ("//evil.test/a.png", Outcome.HOST_REFUSED),
    "to a stranger by backslashes": ("\\\\evil.test/a.png", Outcome.URL_REFUSED),
    "to a stranger by path": ("/\\evil.test/a.png", Outcome.URL_REFUSED),
    "to another port": ("https://img.kefu.test:22/", Outcome.URL_REFUSED),
    "with a password": ("https://a:b@img.kefu.test/", Outcome.URL_REFUSED),
    "to a file": ("file:///etc/passwd", Outcome.URL_REFUSED),
    "nowhere": ("", Outcome.TOO_MANY_REDIRECTS),
    "to itself": ("https://img.kefu.test:{port}/hop", Outcome.TOO_MANY_REDIRECTS),
}


@pytest.mark.parametrize("status", ["301 Moved Permanently", "307 Temporary Redirect"])
@pytest.mark.parametrize("name", BAD_HOPS)
async def test_redirect(hosts: Hosts, refused: Counter[str], name: str, status: str) -> None:
    location, outcome = BAD_HOPS[name]
    hosts.names.answers["other.kefu.test"] = [[INSIDE]]
    hosts.will("/hop", redirect(location.format(port=hosts.port), status))
    await expect(hosts, refused, hosts.url("/hop"), outcome)


async def test_redirect_to_a_name_that_moved_inside_meanwhile(
    hosts: Hosts, refused: Counter[str]
) -> None:
    """DNS rebinding over two hops: public when it is checked first, inside when it is asked again."""
    hosts.names.answers[NAME] = [[PUBLIC], [INSIDE]]
    hosts.will("/hop", redirect("/again"))
    await expect(hosts, refused, hosts.url("/hop"), Outcome.ADDRESS_REFUSED)
    assert hosts.names.asked[NAME] == 2


async def test_redirects_with_two_locations(hosts: Hosts, refused: Counter[str]) -> None:
    hosts.will("/", redirect("/a\r\nLocation: /b"))
    await expect(hosts, refused, hosts.url(), Outcome.BROKEN)


# ---- what the host sends

PNG = PICTURE
JPEG = page("x", size=(64, 64), form="JPEG")


async def _silent(reader: Reader, writer: Writer) -> None:
    await reader.read()


async def _byte_by_byte(reader: Reader, writer: Writer) -> None:
    writer.write(answer(b"", length=60_000))
    for byte in PNG * 100:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.1)


async def _header_by_header(reader: Reader, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-Slow: 1\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)


async def _endless(reader: Reader, writer: Writer) -> None:
    writer.write(answer(b"", "Transfer-Encoding: chunked", length=None))
    writer.write(b"%x\r\n%s\r\n" % (len(PNG), PNG))
    while True:
        writer.write(b"4000\r\n" + b"\0" * 0x4000 + b"\r\n")
        await writer.drain()


async def _endless_without_length(reader: Reader, writer: Writer) -> None:
    writer.write(answer(PNG, length=None))
    while True:
        writer.write(b"\0" * 0x4000)
        await writer.drain()


async def _stops_in_the_middle(reader: Reader, writer: Writer) -> None:
    writer.write(answer(PNG, length=60_000))
    await writer.drain()
    await reader.read()


async def _hints_for_ever(reader: Reader, writer: Writer) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


BAD_ANSWERS: dict[str, tuple[Script | bytes, Outcome]] = {
    "not found": (answer(PNG, status="404 Not Found"), Outcome.STATUS_REFUSED),
    "forbidden": (answer(PNG, status="403 Forbidden"), Outcome.STATUS_REFUSED),
    "failing": (answer(PNG, status="500 Oops"), Outcome.STATUS_REFUSED),
    "a part of it": (answer(PNG, status="206 Partial Content"), Outcome.STATUS_REFUSED),
    "nothing": (b"HTTP/1.1 204 No Content\r\n\r\n", Outcome.STATUS_REFUSED),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\n\r\n", Outcome.STATUS_REFUSED),
    "a choice": (answer(PNG, status="300 Multiple Choices"), Outcome.STATUS_REFUSED),
    "another protocol": (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", Outcome.BROKEN),
    "empty": (answer(b""), Outcome.EMPTY),
    "says too much": (answer(b"", length=64 * 1024 + 1), Outcome.TOO_LARGE),
    "sends too much": (answer(PNG + b"\0" * 70_000, length=None), Outcome.TOO_LARGE),
    "says petabytes": (answer(PNG, length=10**18), Outcome.TOO_LARGE),
    "endless": (_endless, Outcome.TOO_LARGE),
    "endless without a length": (_endless_without_length, Outcome.TOO_LARGE),
    "less than it says": (answer(PNG, length=len(PNG) + 1), Outcome.BROKEN),
    "two lengths": (answer(PNG, "Content-Length: 1"), Outcome.BROKEN),
    "a negative length": (answer(PNG, length=-5), Outcome.BROKEN),
    "length of letters": (answer(PNG, "Content-Length: abc", length=None), Outcome.BROKEN),
    "gzip": (answer(PNG, "Content-Encoding: gzip"), Outcome.ENCODING_REFUSED),
    "a gzip bomb": (
        answer(b"\x1f\x8b" + b"\0" * 100, "Content-Encoding: gzip, gzip, gzip"),
        Outcome.ENCODING_REFUSED,
    ),
    "brotli": (answer(PNG, "Content-Encoding: br"), Outcome.ENCODING_REFUSED),
    "gzip in transfer": (answer(PNG, "Transfer-Encoding: gzip, chunked"), Outcome.BROKEN),
    "HTML": (answer(b"<html>", content_type="text/html"), Outcome.TYPE_REFUSED),
    "HTML that says PNG": (answer(b"<html><body>" * 9), Outcome.TYPE_REFUSED),
    "JSON credentials that say PNG": (answer(b'{"AccessKeyId": 1}'), Outcome.TYPE_REFUSED),
    "SVG": (answer(b"<svg/>", content_type="image/svg+xml"), Outcome.TYPE_REFUSED),
    "GIF": (answer(b"GIF89a" + b"\0" * 20, content_type="image/gif"), Outcome.TYPE_REFUSED),
    "GIF that says nothing": (answer(b"GIF89a" + b"\0" * 20, content_type=None), Outcome.TYPE_REFUSED),
    "a zip of octets": (
        answer(b"PK\3\4" + b"\0" * 20, content_type="application/octet-stream"),
        Outcome.TYPE_REFUSED,
    ),
    "one byte": (answer(b"\x89"), Outcome.TYPE_REFUSED),
    "JPEG that says PNG": (answer(JPEG), Outcome.TYPE_MISMATCH),
    "PNG that says PDF": (answer(PNG, content_type="application/pdf"), Outcome.TYPE_MISMATCH),
    "says nothing": (_silent, Outcome.TOO_SLOW),
    "stops in the middle": (_stops_in_the_middle, Outcome.TOO_SLOW),
    "a byte now and then": (_byte_by_byte, Outcome.TOO_SLOW),
    "a header now and then": (_header_by_header, Outcome.TOO_SLOW),
    "hints for ever": (_hints_for_ever, Outcome.TOO_SLOW),
    "huge header": (answer(PNG, "X: " + "x" * 200_000), Outcome.BROKEN),
    "thousands of headers": (answer(PNG, *["X: x"] * 50_000), Outcome.BROKEN),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", Outcome.BROKEN),
    "HTTP/0.9": (PNG, Outcome.BROKEN),
    "hangs up": (b"", Outcome.BROKEN),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_ANSWERS)
async def test_host_that_answers(hosts: Hosts, refused: Counter[str], name: str) -> None:
    script, outcome = BAD_ANSWERS[name]
    hosts.will("/", script)
    await expect(hosts, refused, hosts.url(), outcome)
