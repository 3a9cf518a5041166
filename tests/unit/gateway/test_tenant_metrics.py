"""Figures by tenant: named tenants under their names, everyone else under one."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from kefu_gateway.adapters.tenant_metrics import TenantMetrics


def test_tokens_of_ever_new_tenants_make_no_new_series() -> None:
    registry = CollectorRegistry()
    metrics = TenantMetrics(registry, lambda: {"shop"})
    for tenant in ("shop", "", *(f"stranger-{number}" for number in range(1000))):
        metrics.turn(tenant, "answered")
    labels = {
        sample.labels["tenant"]
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "kefu_tenant_turns_total"
    }
    assert labels == {"shop", "(open)", "(other)"}


def test_a_gauge_goes_down_where_it_went_up() -> None:
    """The tenant was named while its question ran: the place that it had is given back under the old label."""
    registry = CollectorRegistry()
    named: set[str] = set()
    metrics = TenantMetrics(registry, lambda: named)

    def shown(label: str) -> float | None:
        return registry.get_sample_value("kefu_tenant_turns_running", {"tenant": label})

    metrics.running("shop", 1)
    named.add("shop")
    metrics.running("shop", 1)
    assert shown("(other)") == 2
    metrics.running("shop", -1)
    metrics.running("shop", -1)
    assert shown("(other)") == 0
    metrics.running("shop", 1)
    assert shown("shop") == 1
