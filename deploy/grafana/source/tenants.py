"""Who sends how much, who is turned away, and why. Only tenants that the operator has named have lines of their own."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.source.parts import Query, chooser, lines, page

_TENANT = 'tenant=~"$tenant"'


def dashboard() -> Dashboard:
    return (
        page(
            "kefu-tenants",
            "Tenants",
            "Who sends how much, who is turned away, and why. Tenants that the operator has not named share one line.",
        )
        .with_variable(
            chooser(
                "tenant",
                "Tenant",
                'label_values(kefu_tenant_turns_total{namespace=~"$namespace"}, tenant)',
            )
        )
        .with_panel(
            lines(
                "Questions",
                "Questions each second by tenant.",
                "reqps",
                Query(
                    f"sum by (tenant) (rate(kefu_tenant_turns_total{{NS, {_TENANT}}}[W]))",
                    "{{tenant}}",
                ),
                table=True,
                stacked=True,
            )
        )
        .with_panel(
            lines(
                "Running now",
                "Questions that have a place now: the share of the machines that each tenant holds.",
                "short",
                Query(
                    f"sum by (tenant) (kefu_tenant_turns_running{{NS, {_TENANT}}})", "{{tenant}}"
                ),
                table=True,
                stacked=True,
            )
        )
        .with_panel(
            lines(
                "Tokens by tenant",
                "Tokens worked on each second: text, visual and completion together. What a bill would go by.",
                "short",
                Query(
                    f"sum by (tenant) (rate(kefu_tenant_tokens_total{{NS, {_TENANT}}}[W]))",
                    "{{tenant}}",
                ),
                table=True,
            )
        )
        .with_panel(
            lines(
                "Tokens by kind",
                "Of the chosen tenants: visual tokens are pictures.",
                "short",
                Query(
                    f"sum by (kind) (rate(kefu_tenant_tokens_total{{NS, {_TENANT}}}[W]))",
                    "{{kind}}",
                ),
                stacked=True,
            )
        )
        .with_panel(
            lines(
                "Ended with an error",
                "By tenant and reason. QUOTA_EXCEEDED: the tenant is at its own limit, not the service at its.",
                "reqps",
                Query(
                    f"sum by (tenant, reason) (rate(kefu_tenant_rejected_total{{NS, {_TENANT}}}[W]))",
                    "{{tenant}} {{reason}}",
                ),
                table=True,
            )
        )
        .with_panel(
            lines(
                "Turned away at the door",
                "Calls without a valid credential, by what was wrong with it. Nobody knows whose they are.",
                "reqps",
                Query(
                    "sum by (cause) (rate(kefu_credentials_refused_total{NS}[W])) or vector(0)",
                    "{{cause}}",
                ),
                table=True,
            )
        )
        .with_panel(
            lines(
                "Refused by a quota",
                "By tenant and quota: turns a second, turns at once, tokens a day. Each was told when to come back.",
                "reqps",
                Query(
                    f"sum by (tenant, quota) (rate(kefu_tenant_quota_refusals_total{{NS, {_TENANT}}}[W])) or vector(0)",
                    "{{tenant}} {{quota}}",
                ),
                table=True,
            )
        )
        .with_panel(
            lines(
                "Share that is answered",
                "By tenant: one far below the others has a problem of its own.",
                "percentunit",
                Query(
                    f'sum by (tenant) (rate(kefu_tenant_turns_total{{NS, {_TENANT}, outcome=~"answered|cached"}}[W]))'
                    f" / sum by (tenant) (rate(kefu_tenant_turns_total{{NS, {_TENANT}}}[W]))",
                    "{{tenant}}",
                ),
                most=1,
            )
        )
    )
