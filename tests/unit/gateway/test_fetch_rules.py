"""Which URLs and addresses pass, held against the standard library's own reading of them."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kefu_common.environment import SettingsError, load
from kefu_gateway.adapters.fetching.addresses import AddressRules
from kefu_gateway.adapters.fetching.outcomes import Refused
from kefu_gateway.adapters.fetching.urls import UrlRules
from kefu_gateway.config import Settings

RULES = UrlRules.read("img.example.com, *.cdn.example.com", "443,8443")

_pieces = st.sampled_from(
    ["https://", "http://", "img.example.com", "a.cdn.example.com", "evil.com", "@", ":", "/", "\\", "?", "#", ".",
     "%2f", "%40", "443", "8443", "[", "]", "::1", "127.0.0.1", "\t", "\n", "\u3002", "\uff0f", "..", "//", "a"]
)  # fmt: skip


@given(st.lists(_pieces, max_size=8).map(lambda pieces: "https://" + "".join(pieces)) | st.text())
@example("https://img.example.com#@evil.com/")
@example("https://img.example.com/\\evil.com")
def test_no_other_reader_sees_another_host(url: str) -> None:
    try:
        target = RULES.target(url)
    except Refused:
        return
    read = urlsplit(url)
    assert (read.scheme.lower(), read.hostname, read.port or 443) == (
        "https",
        target.host,
        target.port,
    )
    assert read.username is None
    assert target.host == "img.example.com" or target.host.endswith(".cdn.example.com")
    assert target.path.isascii()
    assert target.path.startswith("/")


@given(st.ip_addresses())
@example(ipaddress.ip_address("168.63.129.16"))
def test_what_passes_is_public_to_the_standard_library_too(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if AddressRules().allows(address):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


@pytest.mark.parametrize("address", ["93.184.215.14", "1.1.1.1", "2606:4700::1111", "2a00:1450::1"])
def test_public_addresses_pass(address: str) -> None:
    assert AddressRules().check([address]) == [address]


def test_a_private_network_passes_by_setting_and_nothing_beside_it() -> None:
    rules = AddressRules.read("10.20.0.0/16, fd12::/32")
    assert rules.check(["10.20.3.4", "fd12::7"]) == ["10.20.3.4", "fd12::7"]
    for address in ("10.21.0.1", "fd13::1", "127.0.0.1"):
        with pytest.raises(Refused):
            rules.check([address])


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "fd00:ec2::254",
        "100.100.100.200",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "fe80::1",
    ],
)
def test_no_setting_lets_metadata_or_carried_addresses_pass(address: str) -> None:
    with pytest.raises(Refused):
        AddressRules.read("0.0.0.0/0, ::/0").check([address])


def test_wrong_settings_are_all_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load(
            Settings,
            {
                "KEFU_GATEWAY_URL_HOSTS": "*",
                "KEFU_GATEWAY_URL_PORTS": "https",
                "KEFU_GATEWAY_URL_NETWORKS": "10.0.0.0/33",
            },
        )
    assert len(caught.value.problems) == 3
    for hosts in ("127.0.0.1", "*.1", "https://a.com", "a.com:443", "a.*.com", "[::1]"):
        with pytest.raises(ValueError, match="host name"):
            UrlRules.read(hosts, "443")
