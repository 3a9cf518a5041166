"""What a kubelet is told (`kefu_common.health_door`): "" serves while models answer, the process lives always.

`degraded` serves: the models that answer are not taken from their callers because another one cannot be loaded.
Which one that is stands in the status, and Triton's own ModelReady says it of each.
"""

from __future__ import annotations

import asyncio

from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer

_SERVING = ("ready", "degraded")


class Readiness:
    """Follows the supervisor's state."""

    def __init__(self) -> None:
        self.servicer = HealthServicer()
        self._telling: set[asyncio.Task[None]] = set()
        self.tell("starting")

    def tell(self, state: str) -> None:
        """Needs a running loop. States are those of `status.py`; told in order, since the servicer's lock is fair."""
        answer = health_pb2.HealthCheckResponse
        task = asyncio.ensure_future(
            self.servicer.set("", answer.SERVING if state in _SERVING else answer.NOT_SERVING)
        )
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
