"""Who calls, as values: a tenant, how it showed that it is one, and what is set down about each.

A tenant is a name. Sessions, pictures, uploads, cached answers and request ids of one are out of reach for every other;
"" is the one tenant of a gateway that tells nobody apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Protocol

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.question import IDENTIFIER
from kefu_gateway.domain.quotas import Quota

# Names that a metric shows instead of a tenant's. No tenant can have them: names have no brackets.
OPEN = "(open)"
OTHER = "(other)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who makes a call. `scheme`: "none", "key", "token" or "certificate"; `key_id`: which key, where that can be said.

    `expires_at`: seconds since the epoch, after which a call that is still open may ask nothing more; None: never.
    """

    tenant: str
    scheme: str = "none"
    key_id: str = ""
    expires_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRules:
    """What a tenant may do. `methods`: patterns of "Service/Method"; `weight`: its share where tenants wait for a place
    against each other."""

    quota: Quota = field(default_factory=Quota)
    weight: float = 1.0
    methods: tuple[str, ...] = ("*",)

    def check(self, method: str) -> None:
        """`method` as gRPC writes it: "/package.Service/Method". Raises KefuError(PERMISSION_DENIED)."""
        short = method.rpartition(".")[2]
        if not any(fnmatchcase(short, pattern) for pattern in self.methods):
            raise KefuError(
                Reason.PERMISSION_DENIED,
                "the credential is valid, but may not call this",
                method=method.removeprefix("/"),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenants:
    """The rules of every tenant. `unlisted`: of those that are not named; None: they may not call at all."""

    listed: Mapping[str, TenantRules] = field(default_factory=dict)
    unlisted: TenantRules | None = field(default_factory=TenantRules)

    def rules(self, tenant: str) -> TenantRules:
        """Raises KefuError(PERMISSION_DENIED) where the tenant may not call."""
        found = self.listed.get(tenant, self.unlisted)
        if found is None:
            raise KefuError(
                Reason.PERMISSION_DENIED, "the credential is valid, but its tenant may not call"
            )
        return found


class TenantTelemetry(Protocol):
    """Where figures by tenant go."""

    def turn(self, tenant: str, outcome: str) -> None:
        """A question came to its end: "answered", "cached", "failed" or "cancelled"."""
        ...

    def tokens(self, tenant: str, kind: str, count: float) -> None:
        """Tokens that were worked on: "text", "visual" or "completion"."""
        ...

    def rejected(self, tenant: str, reason: str) -> None: ...

    def quota(self, tenant: str, quota: str) -> None:
        """A question was refused for this quota."""
        ...

    def running(self, tenant: str, change: int) -> None:
        """Questions that have a place now: one more, or one less."""
        ...


def is_tenant(name: object) -> bool:
    """Whether this can be a tenant's name."""
    return isinstance(name, str) and IDENTIFIER.fullmatch(name) is not None
