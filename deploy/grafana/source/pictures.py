"""What callers send, what the sidecar does with it, and what the model could make of it."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.source.parts import Query, lines, mean, page, quantile, rising

_DURATION = "kefu_preprocess_duration_seconds"
_STEP = "kefu_preprocess_step_duration_seconds"
_CONFIDENCE = "kefu_answer_confidence_ratio"


def dashboard() -> Dashboard:
    return (
        page(
            "kefu-pictures",
            "Pictures",
            "What callers send, what the sidecar does with it, and what the model could make of it.",
            model=True,
        )
        .with_panel(
            lines(
                "Pictures",
                "Pictures of answered turns each second: prepared by the sidecar, or known from a cache.",
                "short",
                Query("sum by (source) (rate(kefu_pictures_total{NS}[W]))", "{{source}}"),
                stacked=True,
                width=8,
            )
        )
        .with_panel(
            lines(
                "Time in the sidecar",
                "From a picture's arrival at the sidecar to its answer, waiting included.",
                "s",
                Query(quantile(0.5, _DURATION), "p50"),
                Query(quantile(0.95, _DURATION), "p95"),
                width=8,
            )
        )
        .with_panel(
            lines(
                "Workers and queue",
                "Pictures that wait while all workers are busy need more workers, and more cores for them.",
                "short",
                Query("sum(kefu_preprocess_workers_busy{NS})", "busy workers"),
                Query("sum(kefu_preprocess_queue_depth{NS})", "waiting pictures"),
                width=8,
            )
        )
        .with_panel(
            lines(
                "Where the sidecar's time goes",
                "Mean seconds of each step of the picture pipeline, stacked.",
                "s",
                Query(mean(_STEP, by="step"), "{{step}}"),
                stacked=True,
                table=True,
            )
        )
        .with_panel(
            lines(
                "Refused pictures by reason",
                "Broken, too large, or not what their media type says. Many at once: a caller's release, or an attack.",
                "reqps",
                Query(
                    "sum by (reason) (rate(kefu_preprocess_rejected_total{NS}[W]))",
                    "{{reason}}",
                ),
                table=True,
            )
        )
        .with_panel(
            lines(
                "Quality findings",
                "What is wrong with pictures that were taken all the same; the customer was advised to retake them.",
                "short",
                Query(
                    "sum by (kind) (rate(kefu_preprocess_quality_findings_total{NS}[W]))",
                    "{{kind}}",
                ),
                width=8,
            )
        )
        .with_panel(
            lines(
                "Cut off",
                "Pictures by the system bars that were recognised and cut; none: left whole.",
                "short",
                Query("sum by (kind) (rate(kefu_preprocess_cropped_total{NS}[W]))", "{{kind}}"),
                width=8,
            )
        )
        .with_panel(
            lines(
                "Bytes",
                "As callers send them, and as the model receives them.",
                "Bps",
                Query(
                    "sum by (direction) (rate(kefu_preprocess_bytes_total{NS}[W]))",
                    "{{direction}}",
                ),
                width=8,
            )
        )
        .with_panel(
            lines(
                "Hand-overs by reason",
                "Share of answers that a person should take over. cannot_see: asked about what the model cannot see.",
                "percentunit",
                Query(
                    "sum by (reason) (rate(kefu_handovers_total{NS, VLM}[W]))"
                    " / ignoring (reason) group_left () sum(rate(kefu_answers_total{NS, VLM}[W]))",
                    "{{reason}}",
                ),
                width=8,
                steps=rising(0.25, 0.5),
            )
        )
        .with_panel(
            lines(
                "Confidence",
                "How sure the models were: half of the answers are below p50, one in ten below p10.",
                "percentunit",
                Query(quantile(0.5, _CONFIDENCE, "NS, VLM", "model"), "{{model}} p50"),
                Query(quantile(0.1, _CONFIDENCE, "NS, VLM", "model"), "{{model}} p10"),
                width=8,
                most=1,
            )
        )
        .with_panel(
            lines(
                "Workers replaced",
                "crash: a decoder died. hang: killed after its time limit. Each takes one picture with it.",
                "short",
                Query(
                    "sum by (cause) (increase(kefu_preprocess_workers_ended_total{NS}[W]))",
                    "{{cause}}",
                ),
                width=8,
            )
        )
        .with_panel(
            lines(
                "Uploads",
                "Uploads that became whole: how many each second, and the size that 95 of 100 stay below.",
                "bytes",
                Query(quantile(0.95, "kefu_upload_bytes"), "p95 size"),
                width=8,
            )
        )
        .with_panel(
            lines(
                "Pages of documents",
                "PDF pages drawn as pictures each second.",
                "short",
                Query("sum(rate(kefu_preprocess_pages_total{NS}[W]))", "pages"),
                width=8,
            )
        )
        .with_panel(
            lines(
                "Pictures by URL",
                "How fetches ended. host_refused and address_refused: somebody tries what the gateway can reach.",
                "reqps",
                Query(
                    "sum by (outcome) (rate(kefu_url_fetches_total{NS}[W])) or vector(0)",
                    "{{outcome}}",
                ),
                width=8,
            )
        )
        .with_panel(
            lines(
                "Known pictures",
                "Share that the sidecar had prepared before. Low with many follow-ups: raise KEFU_PREPROCESS_CACHE_MB.",
                "percentunit",
                Query(
                    'sum(rate(kefu_preprocess_cache_total{NS, result="hit"}[W]))'
                    " / sum(rate(kefu_preprocess_cache_total{NS}[W]))",
                    "hits",
                ),
                most=1,
            )
        )
    )
