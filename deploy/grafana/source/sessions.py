"""How parts become turns, how much of a session reaches the prompt, and how the store does."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.source.parts import Query, lines, page, quantile, states

_REASONS = "TURN_INTERRUPTED|REQUEST_ID_CONFLICT|STORE_UNAVAILABLE"
_STAGE = "kefu_stage_duration_seconds"


def _stage(name: str) -> str:
    return quantile(0.95, _STAGE, f'NS, stage="{name}"')


def dashboard() -> Dashboard:
    return (
        page(
            "kefu-sessions",
            "Bursts and sessions",
            "How parts become turns, how much of a session reaches the prompt, and how the store does.",
        )
        .with_panel(
            lines(
                "Requests per turn",
                "Mean number of requests that one turn joined. More than 1: bursts that cost one answer.",
                "short",
                Query(
                    "sum(rate(kefu_turn_parts_sum{NS}[W])) / sum(rate(kefu_turn_parts_count{NS}[W]))",
                    "mean",
                ),
                Query(quantile(0.95, "kefu_turn_parts"), "p95"),
                width=8,
            )
        )
        .with_panel(
            lines(
                "Turns begun anew",
                "Turns whose inference was cancelled for a part that came before the first token: work done twice.",
                "percentunit",
                Query(
                    "sum(rate(kefu_turns_restarted_total{NS}[W]))"
                    " / sum(rate(kefu_turn_parts_count{NS}[W]))",
                    "begun anew",
                ),
                width=8,
            )
        )
        .with_panel(
            lines(
                "Sessions held",
                "Sessions whose turns each gateway runs now. Very uneven: look at how callers are balanced.",
                "short",
                Query("kefu_sessions_held{NS}", "{{instance}}"),
                width=8,
            )
        )
        .with_panel(
            lines(
                "History in prompts",
                "Earlier rounds each second: kept in a prompt, or dropped because they did not fit the context.",
                "short",
                Query("sum by (outcome) (rate(kefu_history_rounds_total{NS}[W]))", "{{outcome}}"),
            )
        )
        .with_panel(
            lines(
                "The store's share, p95",
                "join: inbox and lease. recall: history and its pictures. remember: the turn is written down.",
                "s",
                Query(_stage("join"), "join"),
                Query(_stage("recall"), "recall"),
                Query(_stage("remember"), "remember"),
            )
        )
        .with_panel(
            lines(
                "Interrupted and retried",
                "TURN_INTERRUPTED: a gateway died while answering. REQUEST_ID_CONFLICT: a caller used an id twice.",
                "reqps",
                Query(
                    f'sum by (reason) (rate(kefu_questions_total{{NS, reason=~"{_REASONS}"}}[W]))',
                    "{{reason}}",
                ),
            )
        )
        .with_panel(
            states(
                "The store",
                "Whether each gateway reaches the session store.",
                Query(
                    'min by (instance) (kefu_dependency_up{NS, dependency="store"})', "{{instance}}"
                ),
            )
        )
    )
