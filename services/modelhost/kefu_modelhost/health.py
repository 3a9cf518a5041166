"""What a kubelet is told (`kefu_common.health_door`): "" serves while every model answers, the process lives always."""

from __future__ import annotations

import asyncio

from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer


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
            self.servicer.set("", answer.SERVING if state == "ready" else answer.NOT_SERVING)
        )
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
