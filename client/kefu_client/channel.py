"""How the client connects: addresses, limits, keep-alive, TLS. Each option stands here with its reason."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path

import grpc

from kefu_client._version import version
from kefu_client.errors import InputError

# Where a gateway listens unless told otherwise.
DEFAULT_ADDRESS = "127.0.0.1:50051"
_DEFAULT_PORT = 50051

# One picture of 20 MiB and the text around it. A server may take more (`Limits.message_bytes`): KefuClient asks
# before it sends more than this.
MESSAGE_BYTES = 21 * 1024 * 1024
_ROUND_ROBIN = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How to trust the server, and how to be known to it.

        Tls(ca=Path("ca.pem"))                                    # a private authority
        Tls(ca=..., cert=Path("me.pem"), key=Path("me-key.pem"))  # mutual TLS

    With no `ca` the roots that come with grpcio are trusted. All files are PEM.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Reads the files. Raises InputError when only one of `cert` and `key` is given, OSError for a missing file."""
        if (self.cert is None) != (self.key is None):
            raise InputError("a client certificate and its key are needed together")
        return grpc.ssl_channel_credentials(
            root_certificates=None if self.ca is None else self.ca.read_bytes(),
            private_key=None if self.key is None else self.key.read_bytes(),
            certificate_chain=None if self.cert is None else self.cert.read_bytes(),
        )


def channel_options(address: str) -> list[tuple[str, int | str]]:
    """Channel options for the sync and the asyncio gRPC of Python, to reach a gateway at `address`."""
    options: list[tuple[str, int | str]] = [
        # Not limited here: the limit is the server's to say. KefuClient measures a question before it sends it, and
        # says what is too large in words; gRPC's own refusal would not.
        ("grpc.max_send_message_length", -1),
        # An answer is kilobytes; debug artefacts of the engine may be megabytes.
        ("grpc.max_receive_message_length", MESSAGE_BYTES),
        # A long answer on a connection that died silently (a laptop that slept, a NAT that forgot): found after
        # 30 + 10 s, not at the deadline. The gateway allows pings down to every 10 s.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # An idle channel needs no pings: a dead one is found by the next call.
        ("grpc.keepalive_permit_without_calls", 0),
        # A name may stand for several gateways (a headless Service): gRPC's own choice is the first, for every call.
        ("grpc.service_config", _ROUND_ROBIN),
        ("grpc.primary_user_agent", f"kefu-client/{version()}"),
    ]
    if _is_local(address):
        # http_proxy in the environment must not take calls to this machine away from it.
        options.append(("grpc.enable_http_proxy", 0))
    return options


def target(address: str) -> str:
    """The address as gRPC wants it: "host:port", "unix:PATH", or a name with a scheme of gRPC's own ("dns:///…").

    A host without a port gets 50051 (gRPC would take 443). Raises InputError for a URL.
    """
    if address.startswith(("http://", "https://")):
        raise InputError(
            f"{address}: an address is HOST:PORT or unix:PATH, without http:// (for TLS, say --tls)"
        )
    if not address:
        raise InputError("the address is empty: it is HOST:PORT or unix:PATH")
    has_port = ":" in address.rpartition("]")[2] if "[" in address else ":" in address
    return address if has_port else f"{address}:{_DEFAULT_PORT}"


def connect(address: str, tls: Tls | None) -> grpc.Channel:
    """A channel to the gateway. It connects with the first call, not now. Raises InputError, OSError."""
    options = channel_options(address)
    if tls is None:
        return grpc.insecure_channel(target(address), options=options)
    return grpc.secure_channel(target(address), tls.credentials(), options=options)


def _is_local(address: str) -> bool:
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = address.rpartition(":")[0] if ":" in address else address
    host = host.strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
