"""What is counted of identity: credentials that were turned away, files that were read again, how long TLS lasts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class IdentityMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._refused = Counter(
            "kefu_credentials_refused_total",
            "Calls that were turned away at the door, by what was wrong with their credential.",
            ["cause"],
            registry=registry,
        )
        self._reloads = Counter(
            "kefu_reloads_total",
            "Readings of what may change while the gateway runs: tls, triton_tls, keys, tenants, jwks. A failed one "
            "leaves the old one in force.",
            ["what", "outcome"],
            registry=registry,
        )
        self._good = Gauge(
            "kefu_reload_good",
            "1 where the last reading was good; 0: an older one is in force.",
            ["what"],
            registry=registry,
        )
        self._expires = Gauge(
            "kefu_tls_certificate_expires_timestamp_seconds",
            "When the gateway's own certificate ends, in seconds since the epoch.",
            ["use"],
            registry=registry,
        )

    def refused(self, cause: str) -> None:
        self._refused.labels(cause).inc()

    def read(self, what: str, good: bool) -> None:
        self._reloads.labels(what, "ok" if good else "failed").inc()
        self._good.labels(what).set(1 if good else 0)

    def watch(self, what: str) -> None:
        """From now on both outcomes are shown, at 0: a first failure must be an increase. A file was read at the start;
        what comes from an address says so itself."""
        self._good.labels(what).set(1)
        for outcome in ("ok", "failed"):
            self._reloads.labels(what, outcome)

    def expires(self, use: str, at: float) -> None:
        self._expires.labels(use).set(at)
