"""Where the time of a question goes, stage by stage, and what it costs in tokens."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.source.parts import Query, lines, mean, page, quantile

_STAGE = "kefu_stage_duration_seconds"
_REQUEST = "gen_ai_server_request_duration_seconds"
_PER_TOKEN = "gen_ai_server_time_per_output_token_seconds"  # noqa: S105 - a metric, not a secret


def dashboard() -> Dashboard:
    return (
        page(
            "kefu-road",
            "The road by stage",
            "admit, gather, join; recall, compose, fit, infer, judge, remember: which one takes the time.",
            model=True,
        )
        .with_panel(
            lines(
                "Where the time goes",
                "Mean seconds of each stage; the height is a turn. admit: queue, gather: sidecar, infer: Triton.",
                "s",
                Query(mean(_STAGE, by="stage"), "{{stage}}"),
                stacked=True,
                table=True,
                height=10,
            )
        )
        .with_panel(
            lines(
                "Slowest stages, p95",
                "95 of 100 turns spend less in the stage.",
                "s",
                Query(quantile(0.95, _STAGE, by="stage"), "{{stage}}"),
                table=True,
                height=10,
            )
        )
        .with_panel(
            lines(
                "Whole answers",
                "From a question's arrival to the end of its answer, by model.",
                "s",
                Query(
                    quantile(0.5, _REQUEST, "NS, MODEL", "gen_ai_request_model"),
                    "{{gen_ai_request_model}} p50",
                ),
                Query(
                    quantile(0.95, _REQUEST, "NS, MODEL", "gen_ai_request_model"),
                    "{{gen_ai_request_model}} p95",
                ),
            )
        )
        .with_panel(
            lines(
                "Time per output token",
                "Mean time between two tokens of an answer, by model: what a reader feels as the speed of writing.",
                "s",
                Query(
                    quantile(0.5, _PER_TOKEN, "NS, MODEL", "gen_ai_request_model"),
                    "{{gen_ai_request_model}} p50",
                ),
                Query(
                    quantile(0.95, _PER_TOKEN, "NS, MODEL", "gen_ai_request_model"),
                    "{{gen_ai_request_model}} p95",
                ),
            )
        )
        .with_panel(
            lines(
                "Tokens",
                "Tokens each second: text and visual tokens read, completion tokens written.",
                "short",
                Query(
                    "sum by (gen_ai_token_type) (rate(gen_ai_client_token_usage_sum{NS, MODEL}[W]))",
                    "{{gen_ai_token_type}}",
                ),
                width=8,
            )
        )
        .with_panel(
            lines(
                "How answers end",
                "stop: the model was done. length: cut at max_tokens, often a sign of a wrong setting.",
                "reqps",
                Query(
                    "sum by (finish_reason) (rate(kefu_answers_total{NS, VLM}[W]))",
                    "{{finish_reason}}",
                ),
                width=8,
            )
        )
        .with_panel(
            lines(
                "Answer cache",
                "Questions at temperature 0: asked (miss), answered from the cache (hit), joined to a running one.",
                "reqps",
                Query("sum by (outcome) (rate(kefu_answer_cache_total{NS}[W]))", "{{outcome}}"),
                width=8,
            )
        )
        .with_panel(
            lines(
                "Calls by method and code",
                "gRPC calls that ended. A live stream (Converse) is one call, however many questions it carried.",
                "reqps",
                Query(
                    "sum by (method, code) (rate(kefu_calls_total{NS}[W])) > 0",
                    "{{method}} {{code}}",
                ),
                table=True,
            )
        )
        .with_panel(
            lines(
                "Gateway's CPU",
                "CPU seconds each second, by gateway. One gateway uses at most one core: near 1 it needs company.",
                "short",
                Query(
                    'rate(process_cpu_seconds_total{NS, job="kefu-gateway"}[W])',
                    "{{instance}}",
                ),
                width=6,
            )
        )
        .with_panel(
            lines(
                "Gateway's memory",
                "Resident bytes by gateway; should be flat under a steady load.",
                "bytes",
                Query('process_resident_memory_bytes{NS, job="kefu-gateway"}', "{{instance}}"),
                width=6,
            )
        )
    )
