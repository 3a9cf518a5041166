"""The session store by its address.

async with open_sessions("sqlite:///var/lib/kefu/sessions.db") as sessions: ...
async with open_sessions("valkey://valkey:6379/0") as sessions: ...
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from kefu_common.errors import KefuError
from kefu_gateway.adapters.stores.quotas_local import LocalLedger
from kefu_gateway.adapters.stores.sqlite import SqliteSessions
from kefu_gateway.domain.quotas import QuotaLedger
from kefu_gateway.domain.session import SessionStore

# Valkey speaks Redis's protocol; its client knows only Redis's names.
_SCHEMES = {"valkey": "redis", "valkeys": "rediss", "redis": "redis", "rediss": "rediss"}


@asynccontextmanager
async def open_sessions(url: str) -> AsyncIterator[SessionStore]:
    """Raises ValueError, without the URL, which may hold a password, where it is none that we know."""
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite":
        async with SqliteSessions.open(Path(rest.removeprefix("//"))) as sqlite:
            yield sqlite
    elif scheme in _SCHEMES or scheme == "unix":
        # Its client takes a while to import, and OpenTelemetry's metrics with it: not for a gateway that has SQLite.
        from kefu_gateway.adapters.stores.valkey import ValkeySessions

        async with ValkeySessions.open(f"{_SCHEMES.get(scheme, scheme)}:{rest}") as valkey:
            # Only a warning, and a gateway may start before its store: then it goes without.
            with suppress(KefuError):
                await valkey.check_durability()
            yield valkey
    else:
        raise ValueError(
            "the address of the session store must begin with sqlite: valkey: redis: rediss: or unix:"
        )


@asynccontextmanager
async def open_quotas(url: str) -> AsyncIterator[QuotaLedger]:
    """Where the sessions are: in the store that the gateways share, or in a file beside the sessions'. `url` as of
    `open_sessions`, and one that it takes."""
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite":
        path = Path(rest.removeprefix("//")).with_name("quotas.db")
        async with LocalLedger.open(path) as local:
            yield local
    else:
        from kefu_gateway.adapters.stores.quotas_valkey import ValkeyLedger

        async with ValkeyLedger.open(f"{_SCHEMES.get(scheme, scheme)}:{rest}") as shared:
            yield shared
