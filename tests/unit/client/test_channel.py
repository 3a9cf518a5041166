"""Addresses, and what a channel to them is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from kefu_client import InputError, channel_options
from kefu_client.channel import Tls, target


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("gateway:6000", "gateway:6000"),
        ("gateway", "gateway:50051"),
        ("[::1]", "[::1]:50051"),
        ("[::1]:6000", "[::1]:6000"),
        ("unix:/run/kefu.sock", "unix:/run/kefu.sock"),
        ("dns:///gateway:6000", "dns:///gateway:6000"),
    ],
)
def test_target(address: str, expected: str) -> None:
    assert target(address) == expected


@pytest.mark.parametrize("address", ["http://gateway:6000", "https://gateway", ""])
def test_what_is_no_address_is_said_to_be_none(address: str) -> None:
    with pytest.raises(InputError, match="HOST:PORT"):
        target(address)


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1:50051", True),
        ("localhost", True),
        ("[::1]:50051", True),
        ("unix:/run/kefu.sock", True),
        ("10.0.0.7:50051", False),
        ("gateway.example:50051", False),
    ],
)
def test_a_proxy_of_the_environment_is_not_used_for_this_machine(address: str, local: bool) -> None:
    assert (("grpc.enable_http_proxy", 0) in channel_options(address)) is local


def test_a_client_certificate_needs_its_key() -> None:
    with pytest.raises(InputError, match="together"):
        Tls(cert=Path("me.pem")).credentials()
