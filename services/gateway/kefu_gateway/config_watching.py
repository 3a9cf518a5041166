"""Settings of logs and traces, a part of the gateway's."""

from __future__ import annotations

from dataclasses import dataclass

from kefu_common.environment import setting
from kefu_common.logs import FORMS
from kefu_common.tracing import MODES


@dataclass(frozen=True, kw_only=True)  # several bases with slots do not go together
class WatchingSettings:
    """What a person on call has to go by."""

    log_level: str = setting(
        "KEFU_GATEWAY_LOG_LEVEL",
        "info",
        "debug, info, warning or error",
        choices=("debug", "info", "warning", "error"),
    )
    log_form: str = setting(
        "KEFU_GATEWAY_LOG_FORM",
        "auto",
        "json, text, or auto: text on a terminal, else json",
        choices=FORMS,
    )
    log_text: bool = setting(
        "KEFU_GATEWAY_LOG_TEXT",
        False,
        "log what customers ask and what they are answered, masked (numbers, addresses, mail; not every name)",
    )
    traces: str = setting(
        "KEFU_GATEWAY_TRACES",
        "off",
        "off, or otlp: spans go to OTEL_EXPORTER_OTLP_ENDPOINT over gRPC; the other OTEL_ variables hold too",
        choices=MODES,
    )
    trace_ratio: float = setting(
        "KEFU_GATEWAY_TRACE_RATIO",
        0.01,
        "share of the traces begun here that are sampled, 0 to 1; a caller's own decision is followed",
        minimum=0,
        maximum=1,
    )
