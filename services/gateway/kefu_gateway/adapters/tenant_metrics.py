"""Figures by tenant, where that is safe: only tenants that the operator has named appear under their names.

A token may bring any tenant that its issuer knows. Those share the label "(other)", or a stranger's login could make
new series without end; "(open)" is the one tenant of a gateway that tells nobody apart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from prometheus_client import CollectorRegistry

from kefu_common.metrics import Counter, Gauge
from kefu_gateway.domain.tenants import OPEN, OTHER


class TenantMetrics:
    """Implements the port TenantTelemetry. `named` gives the tenants that the operator has named."""

    def __init__(self, registry: CollectorRegistry, named: Callable[[], Collection[str]]) -> None:
        self._named = named
        # A gauge must go down under the label under which it went up, whatever the operator names meanwhile.
        self._held: dict[str, tuple[str, int]] = {}
        self._turns = Counter(
            "kefu_tenant_turns_total",
            "Questions that came to their end by tenant: answered, cached, failed or cancelled by the caller.",
            ["tenant", "outcome"],
            registry=registry,
        )
        self._tokens = Counter(
            "kefu_tenant_tokens_total",
            "Tokens that were worked on by tenant: text and visual tokens of prompts, tokens of completions.",
            ["tenant", "kind"],
            registry=registry,
        )
        self._rejected = Counter(
            "kefu_tenant_rejected_total",
            "Questions that ended with an error by tenant and reason.",
            ["tenant", "reason"],
            registry=registry,
        )
        self._quota = Counter(
            "kefu_tenant_quota_refusals_total",
            "Questions that a quota refused: turns_per_second, concurrent_turns or tokens_per_day.",
            ["tenant", "quota"],
            registry=registry,
        )
        self._running = Gauge(
            "kefu_tenant_turns_running",
            "Questions of a tenant that have a place now.",
            ["tenant"],
            registry=registry,
        )

    def turn(self, tenant: str, outcome: str) -> None:
        self._turns.labels(self._label(tenant), outcome).inc()

    def tokens(self, tenant: str, kind: str, count: float) -> None:
        self._tokens.labels(self._label(tenant), kind).inc(count)

    def rejected(self, tenant: str, reason: str) -> None:
        self._rejected.labels(self._label(tenant), reason).inc()

    def quota(self, tenant: str, quota: str) -> None:
        self._quota.labels(self._label(tenant), quota).inc()

    def running(self, tenant: str, change: int) -> None:
        label, count = self._held.get(tenant, (self._label(tenant), 0))
        self._running.labels(label).inc(change)
        if count + change:
            self._held[tenant] = (label, count + change)
        else:
            self._held.pop(tenant, None)

    def _label(self, tenant: str) -> str:
        if not tenant:
            return OPEN
        return tenant if tenant in self._named() else OTHER
