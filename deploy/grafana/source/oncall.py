"""For whoever was woken: is it us, how bad, since when, and where to look next."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.source.parts import (
    GREEN,
    RED,
    YELLOW,
    Query,
    falling,
    lines,
    number,
    page,
    quantile,
    rising,
    states,
)

_VALID = 'kefu_questions_total{NS, outcome=~"answered|failed"}'
_FAILED = 'kefu_questions_total{NS, outcome="failed"}'
_FIRST = "gen_ai_server_time_to_first_token_seconds"
_OBJECTIVE = "scalar(max(kefu:availability_objective:ratio))"


def dashboard() -> Dashboard:
    return (
        page(
            "kefu-oncall",
            "On call",
            "Is it us, how bad, since when, and where to look next. docs/runbook.md has a chapter for each alert.",
        )
        .with_panel(
            number(
                "Firing alerts",
                "Alerts that fire now; the runbook has a chapter for each.",
                "short",
                'count(ALERTS{alertname=~"Kefu.+", alertstate="firing", NS}) or vector(0)',
                steps=rising(1, 2),
            )
        )
        .with_panel(
            number(
                "Questions",
                "Questions answered or failed each second, on all gateways.",
                "reqps",
                f"sum(rate({_VALID}[W]))",
            )
        )
        .with_panel(
            number(
                "Failed questions",
                "Share that failed for a reason of ours. The objective allows 0.5 %.",
                "percentunit",
                f"sum(rate({_FAILED}[W])) / sum(rate({_VALID}[W]))",
                steps=rising(0.005, 0.072),
                decimals=2,
                open_with="kefu-road",
            )
        )
        .with_panel(
            number(
                "Error budget left",
                "Of the last 30 days: 100 % nothing failed, 0 % all that may fail has failed, below: more than that.",
                "percentunit",
                f"1 - (sum(increase({_FAILED}[30d])) / sum(increase({_VALID}[30d]))) / (1 - {_OBJECTIVE})",
                steps=falling(0, 0.25),
                decimals=0,
            )
        )
        .with_panel(
            number(
                "First token, p95",
                "95 of 100 answers begin sooner. The alert compares with the gateway's own objective.",
                "s",
                quantile(0.95, _FIRST),
                steps=rising(5, 10),
                decimals=2,
                open_with="kefu-road",
            )
        )
        .with_panel(
            number(
                "Longest wait",
                "How long the first question of the fullest queue has waited to be admitted; 0: nobody waits.",
                "s",
                "max(kefu_admission_oldest_wait_seconds{NS})",
                steps=rising(2, 10),
                decimals=1,
                open_with="kefu-triton",
            )
        )
        .with_panel(
            lines(
                "Questions by outcome",
                "Failed is ours; refused is the caller's mistake, a quota or a drain; cancelled: the caller left.",
                "reqps",
                Query("sum by (outcome) (rate(kefu_questions_total{NS}[W]))", "{{outcome}}"),
                stacked=True,
                colors={"answered": GREEN, "failed": RED, "refused": YELLOW, "cancelled": "text"},
            )
        )
        .with_panel(
            lines(
                "Failed questions by reason",
                "MODEL_*: Triton. PREPROCESS_UNAVAILABLE: sidecar. STORE_UNAVAILABLE: store. OVERLOADED: queues full.",
                "reqps",
                Query(f"sum by (reason) (rate({_FAILED}[W]))", "{{reason}}"),
                table=True,
            )
        )
        .with_panel(
            lines(
                "Time to first token",
                "From a question's arrival to the first word of its answer, with the promise beside it.",
                "s",
                Query(quantile(0.5, _FIRST), "p50"),
                Query(quantile(0.95, _FIRST), "p95"),
                Query(quantile(0.99, _FIRST), "p99"),
                Query("max(kefu_first_token_objective_seconds{NS})", "promised for p95"),
                logarithmic=True,
            )
        )
        .with_panel(
            states(
                "What the gateways reach",
                "Each gateway asks every dependency, models for a real token. Down: at least one gets no answer.",
                Query("min by (dependency) (kefu_dependency_up{NS})", "{{dependency}}"),
            )
        )
        .with_panel(
            lines(
                "How full the gateways are",
                "Of what all gateways may hold. Turns or tokens at 100 %: questions wait. Queue at 100 %: OVERLOADED.",
                "percentunit",
                Query("sum(kefu_turns_running{NS}) / sum(kefu_turns_limit{NS})", "turns running"),
                Query(
                    "sum(kefu_admission_tokens{NS}) / sum(kefu_admission_tokens_limit{NS})",
                    "tokens in flight",
                ),
                Query(
                    "sum(kefu_admission_queue_depth{NS}) / sum(kefu_admission_queue_limit{NS})",
                    "queue",
                ),
                most=1,
            )
        )
        .with_panel(
            lines(
                "Refused questions by reason",
                "The caller's mistakes: they pay nothing from the budget. Only reasons that occur are shown.",
                "reqps",
                Query(
                    'sum by (reason) (rate(kefu_questions_total{NS, outcome="refused"}[W])) > 0',
                    "{{reason}}",
                ),
                table=True,
            )
        )
    )
