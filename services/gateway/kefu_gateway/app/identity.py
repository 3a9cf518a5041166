"""Who may call, built from the settings: TLS, API keys, tokens, certificates, tenants; every problem told at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc
import structlog
from prometheus_client import CollectorRegistry

from kefu_common.environment import SettingsError
from kefu_gateway.adapters.identity.callers import Callers
from kefu_gateway.adapters.identity.certificates import (
    CertificateTenants,
    ServerTls,
    read_client_credentials,
)
from kefu_gateway.adapters.identity.keys import KeyRing, read_keys
from kefu_gateway.adapters.identity.metrics import IdentityMetrics
from kefu_gateway.adapters.identity.reloading import (
    FileProblem,
    Reloading,
    Watched,
    read_bytes,
    watch_forever,
)
from kefu_gateway.adapters.identity.remote_keys import RemoteKeys
from kefu_gateway.adapters.identity.tenant_file import read_tenants
from kefu_gateway.adapters.identity.tokens import (
    FileKeys,
    KeySet,
    KeySource,
    TokenRules,
    Tokens,
    read_key_set,
)
from kefu_gateway.app.tasks import cancel_all
from kefu_gateway.config import Settings
from kefu_gateway.config_identity import is_loopback, path_or_none
from kefu_gateway.domain.tenants import Tenants

log = structlog.get_logger()

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """`tenants` gives the rules in force now; `named` those whose names a metric may show. `triton`: how to speak TLS
    with it; None: not at all."""

    callers: Callers
    tls: ServerTls | None
    tenants: Callable[[], Tenants]
    named: Callable[[], frozenset[str]]
    triton: Reloading[grpc.ChannelCredentials] | None
    metrics: IdentityMetrics

    def credentials(self) -> grpc.ServerCredentials | None:
        return None if self.tls is None else self.tls.credentials()


class _Builder:
    """Reads every file, and gathers what is wrong."""

    def __init__(self, settings: Settings, metrics: IdentityMetrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.problems: list[str] = []
        self.watched: list[Watched] = []
        self.remote: RemoteKeys | None = None

    def file(
        self, variable: str, what: str, path: str, read: Callable[[Path], T]
    ) -> Reloading[T] | None:
        if not path:
            return None
        place = Path(path)
        made = self._told(
            variable,
            lambda: Reloading(what, (place,), lambda: read(place), self.metrics.read),
        )
        if made is not None:
            self.metrics.watch(what)
            self.watched.append(made)
        return made

    def tls(self) -> ServerTls | None:
        settings = self.settings
        if not settings.tls_certificate:
            return None
        made = self._told(
            "KEFU_GATEWAY_TLS_CERT",
            lambda: ServerTls(
                Path(settings.tls_certificate),
                Path(settings.tls_key),
                path_or_none(settings.tls_client_authority),
                self.metrics.read,
            ),
        )
        if made is not None:
            self.metrics.watch("tls")
            self.watched += [made.files, _Expiry(made, self.metrics)]
        return made

    def triton(self) -> Reloading[grpc.ChannelCredentials] | None:
        """Not watched here: whoever makes the channel looks at it."""
        settings = self.settings
        if not settings.speaks_tls_with_triton:
            return None
        files = (
            path_or_none(settings.triton_tls_authority),
            path_or_none(settings.triton_tls_certificate),
            path_or_none(settings.triton_tls_key),
        )
        paths = [path for path in files if path is not None]
        self.metrics.watch("triton_tls")
        return self._told(
            "KEFU_GATEWAY_TRITON_TLS",
            lambda: Reloading(
                "triton_tls", paths, lambda: read_client_credentials(*files), self.metrics.read
            ),
        )

    def tokens(self) -> Tokens | None:
        settings = self.settings
        if not settings.jwt_keys:
            return None
        source = self._key_source(settings.jwt_keys)
        if source is None:
            return None
        rules = TokenRules(
            issuer=settings.jwt_issuer,
            audiences=settings.audiences,
            algorithms=settings.algorithms,
            tenant_claim=settings.jwt_tenant_claim,
            leeway=settings.jwt_leeway_seconds,
        )
        return Tokens(rules, source)

    def _key_source(self, where: str) -> KeySource | None:
        allowed = self.settings.algorithms
        if where.startswith(("https://", "http://")):
            self.metrics.watch("jwks")
            self.remote = RemoteKeys(
                where, lambda document: read_key_set(document, where, allowed), self.metrics.read
            )
            return self.remote

        def read(path: Path) -> KeySet:
            return read_key_set(read_bytes(path, "the key set"), str(path), allowed)

        file = self.file("KEFU_GATEWAY_JWT_JWKS", "jwks", where, read)
        return None if file is None else FileKeys(file)

    def _told(self, variable: str, make: Callable[[], T]) -> T | None:
        try:
            return make()
        except FileProblem as problem:
            self.problems.append(f"{variable}: {problem}")
            return None


class _Expiry:
    """Keeps the certificate's end in the metrics."""

    def __init__(self, tls: ServerTls, metrics: IdentityMetrics) -> None:
        self._tls = tls
        self._metrics = metrics
        self.check()

    def check(self) -> bool:
        self._metrics.expires("server", self._tls.expires_at)
        return False


@asynccontextmanager
async def open_identity(settings: Settings, registry: CollectorRegistry) -> AsyncIterator[Identity]:
    """Raises SettingsError with every file that cannot be used."""
    builder = _Builder(settings, IdentityMetrics(registry))
    tls = builder.tls()
    key_file = builder.file("KEFU_GATEWAY_KEYS", "keys", settings.keys, read_keys)
    keys = None if key_file is None else KeyRing(lambda: key_file.value, time.time)
    tokens = builder.tokens()
    tenant_file = builder.file("KEFU_GATEWAY_TENANTS", "tenants", settings.tenants, read_tenants)
    triton = builder.triton()
    if builder.problems:
        raise SettingsError(builder.problems)
    everyone = Tenants()

    def tenants() -> Tenants:
        return everyone if tenant_file is None else tenant_file.value

    def named() -> frozenset[str]:
        return frozenset(tenants().listed) | (keys.tenants if keys is not None else frozenset())

    certificates = (
        CertificateTenants(settings.tls_tenant, settings.tls_tenant_pattern)
        if settings.tls_tenant
        else None
    )
    callers = Callers(
        keys=keys,
        tokens=tokens,
        certificates=certificates,
        tenants=tenants,
        refused=builder.metrics.refused,
    )
    tasks = [asyncio.create_task(watch_forever(builder.watched, settings.reload_seconds))]
    if builder.remote is not None:
        tasks.append(asyncio.create_task(builder.remote.run(settings.jwt_refresh_seconds)))
    _warn(settings, callers)
    try:
        yield Identity(
            callers=callers,
            tls=tls,
            tenants=tenants,
            named=named,
            triton=triton,
            metrics=builder.metrics,
        )
    finally:
        await cancel_all(tasks)


def _warn(settings: Settings, callers: Callers) -> None:
    address = settings.address
    if address.startswith("unix:") or is_loopback(address.rpartition(":")[0]):
        return
    if callers.open and not settings.tls_client_authority:
        log.warning(
            "the gateway is open: whoever reaches it may ask, and read every session",
            address=address,
            help="set KEFU_GATEWAY_KEYS, KEFU_GATEWAY_JWT_JWKS or KEFU_GATEWAY_TLS_CLIENT_CA",
        )
    elif not callers.open and not settings.tls_certificate:
        log.warning(
            "credentials travel in the clear, unless something in front speaks TLS",
            address=address,
            help="set KEFU_GATEWAY_TLS_CERT and KEFU_GATEWAY_TLS_KEY",
        )
