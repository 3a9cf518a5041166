"""What other programs may know of the model host: one JSON file, replaced as a whole at every change.

    {"state": "ready", "pid": 4711, "triton_pid": 4712, "grpc": "127.0.0.1:8001", "metrics": "127.0.0.1:8002",
     "http": null, "since": 1700000000.0,
     "models": {"reader": {"state": "ready", "since": 1700000000.0, "probe_ms": 41, "problem": null, "advice": "",
                           "failures": 0, "retry_at": null}},
     "starts": 1, "reloads": 0, "problem": null, "log": ".kefu/run/triton/tritonserver.log"}

state: starting, ready, degraded (some models answer, others do not), recovering, draining, stopped, failed.  `since` is
the time of the last change of state, seconds since 1970.  A model's state: waiting (for those before it), loading,
ready, lost, failed (it could not be loaded, and is tried again at `retry_at`; null: not any more).  `failures` are its
loads that failed since the host began; `reloads` are loads of one model while the server goes on.  `problem` is the
last thing that went wrong, in words and with what to change; it stays after a recovery.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import structlog

log = structlog.get_logger()

STATES = ("starting", "ready", "degraded", "recovering", "draining", "stopped", "failed")
MODEL_STATES = ("waiting", "loading", "ready", "lost", "failed")


def _nobody(state: str) -> None:
    """Hears of a state and does nothing."""


@dataclass(slots=True)
class ModelStatus:
    state: str = "waiting"
    since: float = field(default_factory=time.time)
    probe_ms: int | None = None
    problem: str | None = None
    advice: str = ""
    failures: int = 0
    retry_at: float | None = None

    def change(self, state: str, problem: str | None = None, advice: str = "") -> None:
        """Moves to a state, now."""
        if state != self.state:
            self.state, self.since = state, time.time()
        self.problem = problem or self.problem
        self.advice = advice


@dataclass(slots=True)
class Status:
    """Written by the supervisor alone."""

    path: Path
    grpc: str
    metrics: str
    http: str | None
    log: str
    state: str = "starting"
    triton_pid: int | None = None
    starts: int = 0
    reloads: int = 0
    problem: str | None = None
    since: float = field(default_factory=time.time)
    models: dict[str, ModelStatus] = field(default_factory=dict)
    told: Callable[[str], None] = _nobody

    def change(self, state: str, problem: str | None = None) -> None:
        """Moves to a state; logs it when it is another one or has a new problem."""
        if problem is not None:
            self.problem = problem
        if state != self.state or problem is not None:
            log.info("modelhost." + state, **({"problem": problem} if problem else {}))
        if state != self.state:
            self.state, self.since = state, time.time()
            self.told(state)
        self.write()

    def write(self) -> None:
        # Without the listener: asdict copies everything that it meets, and a listener is not to be copied.
        values = asdict(replace(self, told=_nobody))
        del values["path"], values["told"]
        values["pid"] = os.getpid()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        partial.write_text(json.dumps(values, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(partial, self.path)
