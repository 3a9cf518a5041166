"""Gateways of one process that differ in nothing but how they are watched: `python -m bench.common_unmeasured`.

Three in one event loop, each on an address of its own: one without traces, one that samples as it does by default, one
that samples every trace. SIGUSR1 stops the process's metrics from counting, SIGUSR2 lets them count again: the metrics
are made all the same and can be asked for, so the code around them does not change. What two processes would differ in
by chance (where memory lies, which hash seed, how a core's caches fall) is the same for all: only watching is left.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from kefu_common.calls import note
from kefu_common.environment import load
from kefu_common.logs import configure_logs
from kefu_common.metrics import Counter, Gauge, Histogram
from kefu_gateway.adapters.telemetry import PrometheusTelemetry
from kefu_gateway.adapters.tenant_metrics import TenantMetrics
from kefu_gateway.app import Gateway
from kefu_gateway.config import PREFIX, Settings

# Addresses of the gateways that trace: with the default ratio, with every trace.
TRACED, SAMPLED = "KEFU_BENCH_TRACED", "KEFU_BENCH_SAMPLED"
QUIET, COUNTING = signal.SIGUSR1, signal.SIGUSR2


def _nothing(self: Any, *values: Any, **named: Any) -> None: ...


def _self(self: Any, *values: Any, **named: Any) -> Any:
    return self


def _noted(
    self: Any, model: str, seconds: float, after_first: float, usage: Mapping[str, int]
) -> None:
    note(model=model, tokens=usage)  # for the access log, which is not what is measured


# What a turn calls: the ports' methods, and the metrics themselves where other rooms hold one.
_SILENT: tuple[tuple[type, str, Any], ...] = (
    (Counter, "inc", _nothing),
    *((Gauge, name, _nothing) for name in ("inc", "dec", "set")),
    (Histogram, "observe", _nothing),
    *((kind, "labels", _self) for kind in (Counter, Gauge, Histogram)),
    *(
        (PrometheusTelemetry, name, _nothing)
        for name in (
            "stage",
            "first_token",
            "admission",
            "answer_cache",
            "question",
            "turn",
            "call",
        )
    ),
    (PrometheusTelemetry, "answered", _noted),
    *((TenantMetrics, name, _nothing) for name in ("turn", "tokens", "rejected", "running")),
)
_LOUD = tuple((kind, name, getattr(kind, name)) for kind, name, _ in _SILENT)


def _switch(methods: tuple[tuple[type, str, Any], ...]) -> None:
    for kind, name, method in methods:
        setattr(kind, name, method)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(QUIET, _switch, _SILENT)
    loop.add_signal_handler(COUNTING, _switch, _LOUD)
    traced = {**os.environ, f"{PREFIX}TRACES": "otlp"}
    environments = (
        dict(os.environ),
        {**traced, f"{PREFIX}ADDRESS": os.environ[TRACED]},
        {**traced, f"{PREFIX}ADDRESS": os.environ[SAMPLED], f"{PREFIX}TRACE_RATIO": "1"},
    )
    async with AsyncExitStack() as stack:
        gateways = []
        for number, environment in enumerate(environments):
            environment[f"{PREFIX}STATE_DIR"] += f"-{number}"
            settings = load(Settings, environment, prefix=PREFIX)
            gateways.append(await stack.enter_async_context(Gateway.open(settings)))
        configure_logs(
            "kefu-gateway", gateways[0].settings.log_level, gateways[0].settings.log_form
        )
        await gateways[0].run()


if __name__ == "__main__":
    sys.exit(asyncio.run(_serve()))
