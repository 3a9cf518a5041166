"""Which addresses a host may have: those of the public internet, and the private ones that an operator named.

    rules = AddressRules.read("10.20.0.0/16")        # an image store of our own
    rules.check(["93.184.215.14", "10.0.0.1"])       # raises Refused: one wrong address refuses the name

The tables are IANA's special-purpose registries (IPv4 and IPv6) and the addresses on which clouds serve a machine's
credentials; `ipaddress.is_global` says different things in different versions of Python. Of IPv6 only the range that
is given out to the world (2000::/3) is public, less what is special in it. Addresses that carry another one inside
(mapped, NAT64, 6to4, Teredo) are refused whatever is inside.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from kefu_gateway.adapters.fetching.outcomes import Outcome, Refused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_PUBLIC_6 = ipaddress.IPv6Network("2000::/3")
_SPECIAL: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",  # this host (RFC 791)
        "10.0.0.0/8",  # private (RFC 1918)
        "100.64.0.0/10",  # carriers' NAT (RFC 6598); Alibaba Cloud's metadata is in it
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local; the metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; Oracle Cloud's metadata is in it
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks (RFC 2544)
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "168.63.129.16/32",  # Azure's host agent: a public address that is not
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation (RFC 9637)
    )
)
# What no setting can allow: a typo there must not hand out the machine's credentials.
_NEVER: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "169.254.0.0/16",
        "100.100.100.200/32",
        "192.0.0.192/32",
        "168.63.129.16/32",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "::ffff:0:0/96",  # mapped IPv4
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # NAT64 of one network
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "fd00:ec2::254/128",  # metadata of AWS
        "fd20:ce::254/128",  # metadata of Google Cloud
        "fe80::/10",  # link-local
        "ff00::/8",  # multicast
    )
)


@dataclass(frozen=True, slots=True)
class AddressRules:
    """`allowed`: special networks that are fetched from all the same."""

    allowed: tuple[Network, ...] = ()

    @classmethod
    def read(cls, networks: str) -> AddressRules:
        """From a comma-separated setting. Raises ValueError."""
        return cls(tuple(ipaddress.ip_network(w.strip()) for w in networks.split(",") if w.strip()))

    def check(self, addresses: Sequence[str]) -> list[str]:
        """The addresses, each in its one spelling. Raises Refused where any of them is not allowed."""
        checked = []
        for text in addresses:
            try:
                address = ipaddress.ip_address(text)
            except ValueError:
                raise Refused(Outcome.ADDRESS_REFUSED) from None
            if not self.allows(address):
                raise Refused(Outcome.ADDRESS_REFUSED)
            checked.append(str(address))
        return checked

    def allows(self, address: Address) -> bool:
        if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
            return False
        if _within(address, _NEVER):
            return False
        return _public(address) or _within(address, self.allowed)


def _public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address not in _PUBLIC_6:
        return False
    return not _within(address, _SPECIAL)


def _within(address: Address, networks: Sequence[Network]) -> bool:
    # An address of the other version is in no network: `in` says so.
    return any(address in network for network in networks)
