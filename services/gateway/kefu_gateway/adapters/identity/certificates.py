"""Certificates: the gateway's own, read and checked before gRPC sees them, and which tenant a caller's names."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from kefu_gateway.adapters.identity.reloading import FileProblem, Reloading, read_bytes
from kefu_gateway.domain.tenants import Caller, is_tenant

# The names in gRPC's auth context for what a certificate says of its owner.
_PROPERTIES = {"common_name": "x509_common_name", "dns": "peer_dns", "uri": "peer_uri"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A certificate chain and its key as PEM; when the certificate ends, in seconds since the epoch."""

    chain: bytes
    key: bytes
    expires_at: float


def read_pair(certificate: Path, key: Path) -> Pair:
    """Raises FileProblem where the two do not belong together, or cannot be used now."""
    chain = read_bytes(certificate, "the certificate")
    first = _certificates(chain, certificate)[0]
    secret = read_bytes(key, "the private key")
    try:
        own = load_pem_private_key(secret, password=None).public_key()
    except TypeError:
        raise FileProblem(f"the private key {key} is locked with a password") from None
    except (ValueError, UnsupportedAlgorithm):
        raise FileProblem(f"the private key {key} is no PEM private key") from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if own.public_bytes(*form) != first.public_key().public_bytes(*form):
        raise FileProblem(f"the private key {key} is not the one of the certificate {certificate}")
    now = datetime.now(UTC)
    if first.not_valid_after_utc <= now:
        raise FileProblem(
            f"the certificate {certificate} ended on {first.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        )
    if first.not_valid_before_utc > now:
        raise FileProblem(
            f"the certificate {certificate} begins on {first.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        )
    return Pair(chain=chain, key=secret, expires_at=first.not_valid_after_utc.timestamp())


def read_authorities(path: Path) -> bytes:
    """Certificates of authorities as PEM. Raises FileProblem."""
    document = read_bytes(path, "the authority's certificate")
    _certificates(document, path)
    return document


def _certificates(document: bytes, path: Path) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(document)
    except ValueError:
        found = []
    if not found:
        raise FileProblem(f"{path} holds no PEM certificate")
    return found


class ServerTls:
    """The gateway's door with TLS; with `authority`, only callers whose certificate it signed get in.

    A connection keeps what it began with; every new one is given what the files say then.
    """

    def __init__(
        self,
        certificate: Path,
        key: Path,
        authority: Path | None,
        told: Callable[[str, bool], None],
    ) -> None:
        """Raises FileProblem."""
        self._mutual = authority is not None
        self._lock = threading.Lock()
        paths = [certificate, key, *([authority] if authority is not None else [])]

        def read() -> tuple[Pair, bytes | None]:
            return (
                read_pair(certificate, key),
                read_authorities(authority) if authority is not None else None,
            )

        self.files = Reloading("tls", paths, read, told)
        self._given = self.files.value

    @property
    def expires_at(self) -> float:
        return self.files.value[0].expires_at

    def credentials(self) -> grpc.ServerCredentials:
        # grpc-stubs do not know that None may be answered: nothing has changed.
        fetch: Any = self._fetch
        return grpc.dynamic_ssl_server_credentials(
            _configuration(*self._given), fetch, require_client_authentication=self._mutual
        )

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """gRPC asks at every new connection, in a thread of its own; None: as before."""
        self.files.check()
        with self._lock:
            if self.files.value is self._given:
                return None
            self._given = self.files.value
            return _configuration(*self._given)


def _configuration(pair: Pair, authorities: bytes | None) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pair.key, pair.chain)], authorities)


def read_client_credentials(
    authority: Path | None, certificate: Path | None, key: Path | None
) -> grpc.ChannelCredentials:
    """How to trust a server, and how to be known to it. Without `authority` the public ones are trusted. Raises
    FileProblem."""
    pair = read_pair(certificate, key) if certificate is not None and key is not None else None
    return grpc.ssl_channel_credentials(
        root_certificates=read_authorities(authority) if authority is not None else None,
        private_key=pair.key if pair is not None else None,
        certificate_chain=pair.chain if pair is not None else None,
    )


class CertificateTenants:
    """Which tenant a caller's certificate names: in its common name, a DNS name or a URI (SPIFFE), by a pattern whose
    group `tenant` is the tenant."""

    def __init__(self, where: str, pattern: str) -> None:
        """`where`: common_name, dns or uri. Raises ValueError for a pattern that is none, or has no group `tenant`."""
        self._property = _PROPERTIES[where]
        try:
            self._pattern = re.compile(pattern)
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        if "tenant" not in self._pattern.groupindex:
            raise ValueError("has no group (?P<tenant>…)")

    def caller(self, properties: Mapping[str, Iterable[bytes]]) -> Caller | str:
        """`properties`: gRPC's auth context of the connection."""
        found = set()
        for name in properties.get(self._property, ()):
            match = self._pattern.fullmatch(name.decode("utf-8", "replace"))
            if match is not None:
                found.add(match["tenant"])
        if not found:
            return "certificate_without_tenant"
        # Two names of two tenants say nothing.
        if len(found) > 1 or not is_tenant(next(iter(found))):
            return "certificate_of_many"
        return Caller(tenant=found.pop(), scheme="certificate")
