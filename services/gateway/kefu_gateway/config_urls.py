"""Settings of pictures by URL, a part of the gateway's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kefu_common.environment import setting
from kefu_gateway.adapters.fetching.addresses import AddressRules
from kefu_gateway.adapters.fetching.urls import UrlRules


def _hosts(text: str) -> None:
    UrlRules.read(hosts=text, ports="")


def _ports(text: str) -> None:
    UrlRules.read(hosts="", ports=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlSettings:
    """Off as long as no host is named."""

    url_hosts: str = setting(
        "KEFU_GATEWAY_URL_HOSTS",
        "",
        "hosts that pictures are fetched from over HTTPS, by commas: img.example.com, or *.example.com for every name"
        " below; none: pictures by URL are off",
        check=_hosts,
    )
    url_ports: str = setting(
        "KEFU_GATEWAY_URL_PORTS", "443", "ports that a URL may name, by commas", check=_ports
    )
    url_networks: str = setting(
        "KEFU_GATEWAY_URL_NETWORKS",
        "",
        "private networks that those hosts may be in all the same, by commas: 10.20.0.0/16; never link-local ones or"
        " those of a cloud's metadata",
        check=AddressRules.read,
    )
    url_authority: Path = setting(
        "KEFU_GATEWAY_URL_AUTHORITY",
        Path(),
        "PEM file of the authority that alone signs those hosts' certificates; none: the system's authorities",
    )
    url_seconds: float = setting(
        "KEFU_GATEWAY_URL_SECONDS",
        15.0,
        "most seconds for one picture, redirects and all",
        minimum=0.1,
        maximum=120,
    )
    url_connect_seconds: float = setting(
        "KEFU_GATEWAY_URL_CONNECT_SECONDS",
        3.0,
        "most seconds to find a host's addresses, and again to connect to them",
        minimum=0.05,
        maximum=60,
    )
    url_silence_seconds: float = setting(
        "KEFU_GATEWAY_URL_SILENCE_SECONDS",
        5.0,
        "most seconds without any byte: to the first one, and between two",
        minimum=0.05,
        maximum=60,
    )
    url_redirects: int = setting(
        "KEFU_GATEWAY_URL_REDIRECTS",
        3,
        "most redirects, each checked like the URL itself",
        minimum=0,
        maximum=10,
    )
    url_fetches: int = setting(
        "KEFU_GATEWAY_URL_FETCHES",
        16,
        "pictures fetched at once; each may take as many bytes of memory as a picture may have",
        minimum=1,
        maximum=1000,
    )
