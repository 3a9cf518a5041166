"""The settings of who may call, and of TLS; `config.py` takes them in."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from kefu_common.environment import setting

# Signatures with a public key alone: nothing that a caller could forge with what is published.
ASYMMETRIC = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)


# Without slots: a class can take them from one of its parents only.
@dataclass(frozen=True, kw_only=True)
class IdentitySettings:
    """Files are read again when they change. With no source of identity the gateway is open."""

    tls_certificate: str = setting(
        "KEFU_GATEWAY_TLS_CERT", "", "PEM file with the gateway's certificate chain; none: no TLS"
    )
    tls_key: str = setting("KEFU_GATEWAY_TLS_KEY", "", "PEM file with its private key")
    tls_client_authority: str = setting(
        "KEFU_GATEWAY_TLS_CLIENT_CA",
        "",
        "PEM file with the authorities of callers' certificates; set, nobody without one gets in",
    )
    tls_tenant: str = setting(
        "KEFU_GATEWAY_TLS_TENANT",
        "",
        "where a caller's certificate names its tenant: common_name, dns or uri; none: nowhere",
        choices=("", "common_name", "dns", "uri"),
    )
    tls_tenant_pattern: str = setting(
        "KEFU_GATEWAY_TLS_TENANT_PATTERN",
        "(?P<tenant>.+)",
        "regular expression of the whole name; its group tenant is the tenant",
    )
    keys: str = setting(
        "KEFU_GATEWAY_KEYS",
        "",
        "file of hashed API keys; `python -m kefu_gateway keys new` makes them",
    )
    jwt_keys: str = setting(
        "KEFU_GATEWAY_JWT_JWKS",
        "",
        "keys of the issuer of callers' tokens: a file, or an https:// address (JWKS, RFC 7517)",
    )
    jwt_issuer: str = setting("KEFU_GATEWAY_JWT_ISSUER", "", "what a token's iss must be")
    jwt_audience: str = setting(
        "KEFU_GATEWAY_JWT_AUDIENCE", "", "what a token's aud must hold; several, by commas: any"
    )
    jwt_algorithms: str = setting(
        "KEFU_GATEWAY_JWT_ALGORITHMS",
        "RS256,ES256,EdDSA",
        "signatures that are accepted, by commas; asymmetric ones only",
    )
    jwt_tenant_claim: str = setting(
        "KEFU_GATEWAY_JWT_TENANT_CLAIM",
        "tenant",
        "the claim that names the tenant, or a JSON pointer (/kefu/tenant) into nested ones",
    )
    jwt_leeway_seconds: float = setting(
        "KEFU_GATEWAY_JWT_LEEWAY_SECONDS",
        30.0,
        "seconds by which clocks may differ",
        minimum=0,
        maximum=600,
    )
    jwt_refresh_seconds: float = setting(
        "KEFU_GATEWAY_JWT_REFRESH_SECONDS",
        300.0,
        "seconds between two looks at the issuer's keys, where they have an address",
        minimum=1,
    )
    tenants: str = setting(
        "KEFU_GATEWAY_TENANTS", "", "TOML file of tenants: quotas, shares, what they may call"
    )
    reload_seconds: float = setting(
        "KEFU_GATEWAY_RELOAD_SECONDS",
        2.0,
        "seconds between two looks whether one of these files has changed",
        minimum=0.05,
    )
    triton_tls: bool = setting(
        "KEFU_GATEWAY_TRITON_TLS", False, "speak TLS with Triton (implied by the three below)"
    )
    triton_tls_authority: str = setting(
        "KEFU_GATEWAY_TRITON_TLS_CA",
        "",
        "PEM file with the authority of Triton's certificate; none: the public ones",
    )
    triton_tls_certificate: str = setting(
        "KEFU_GATEWAY_TRITON_TLS_CERT",
        "",
        "PEM file with the certificate that the gateway shows Triton",
    )
    triton_tls_key: str = setting(
        "KEFU_GATEWAY_TRITON_TLS_KEY", "", "PEM file with its private key"
    )
    triton_tls_name: str = setting(
        "KEFU_GATEWAY_TRITON_TLS_NAME",
        "",
        "the name in Triton's certificate, where it is not the one in its address",
    )

    @property
    def speaks_tls_with_triton(self) -> bool:
        return self.triton_tls or bool(self.triton_tls_authority or self.triton_tls_certificate)

    @property
    def algorithms(self) -> tuple[str, ...]:
        return _words(self.jwt_algorithms)

    @property
    def audiences(self) -> tuple[str, ...]:
        return _words(self.jwt_audience)

    def problems(self) -> list[str]:
        """What does not fit together, without looking into any file."""
        return [*self._tls_problems(), *self._token_problems()]

    def _tls_problems(self) -> list[str]:
        problems = []
        if bool(self.tls_certificate) != bool(self.tls_key):
            problems.append("KEFU_GATEWAY_TLS_CERT and KEFU_GATEWAY_TLS_KEY are needed together")
        if self.tls_client_authority and not self.tls_certificate:
            problems.append("KEFU_GATEWAY_TLS_CLIENT_CA needs KEFU_GATEWAY_TLS_CERT")
        if self.tls_tenant and not self.tls_client_authority:
            problems.append("KEFU_GATEWAY_TLS_TENANT needs KEFU_GATEWAY_TLS_CLIENT_CA")
        if bool(self.triton_tls_certificate) != bool(self.triton_tls_key):
            problems.append(
                "KEFU_GATEWAY_TRITON_TLS_CERT and KEFU_GATEWAY_TRITON_TLS_KEY are needed together"
            )
        try:
            pattern = re.compile(self.tls_tenant_pattern)
        except re.error as error:
            problems.append(f"KEFU_GATEWAY_TLS_TENANT_PATTERN is no regular expression: {error}")
        else:
            if "tenant" not in pattern.groupindex:
                problems.append("KEFU_GATEWAY_TLS_TENANT_PATTERN has no group (?P<tenant>…)")
        return problems

    def _token_problems(self) -> list[str]:
        problems = [
            f"KEFU_GATEWAY_JWT_ALGORITHMS: {name!r} is none of {', '.join(ASYMMETRIC)}"
            for name in self.algorithms
            if name not in ASYMMETRIC
        ]
        needed = {
            "KEFU_GATEWAY_JWT_ISSUER": self.jwt_issuer,
            "KEFU_GATEWAY_JWT_AUDIENCE": self.audiences,
        }
        problems += _needs(self.jwt_keys, "KEFU_GATEWAY_JWT_JWKS", needed)
        if self.jwt_keys and not self.algorithms:
            problems.append("KEFU_GATEWAY_JWT_ALGORITHMS names no signature")
        if self.jwt_keys.startswith("http://") and not _is_this_machine(self.jwt_keys):
            problems.append(
                "KEFU_GATEWAY_JWT_JWKS: an address begins with https://, or whoever stands in between says whose "
                "tokens are good"
            )
        return problems


def _needs(value: str, name: str, needed: Mapping[str, object]) -> list[str]:
    if value:
        return [f"{name} needs {other}" for other, given in needed.items() if not given]
    return [f"{other} is of no use without {name}" for other, given in needed.items() if given]


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def path_or_none(text: str) -> Path | None:
    return Path(text) if text else None


def is_loopback(host: str) -> bool:
    """Whether a host can be reached from this machine alone."""
    host = host.strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_this_machine(url: str) -> bool:
    return is_loopback(urlsplit(url).hostname or "")
