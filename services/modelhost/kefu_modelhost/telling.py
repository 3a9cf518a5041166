"""The model host's own service: what each model does, since when, and what to change where it cannot be loaded."""

from __future__ import annotations

import time
from collections.abc import Mapping

import grpc

from kefu.modelhost.v1 import status_service_pb2 as pb
from kefu.modelhost.v1 import status_service_pb2_grpc as pb_grpc
from kefu_modelhost.status import Status

_STATES: Mapping[str, pb.HostedState] = {
    "waiting": pb.HOSTED_STATE_WAITING,
    "loading": pb.HOSTED_STATE_LOADING,
    "ready": pb.HOSTED_STATE_READY,
    "lost": pb.HOSTED_STATE_LOST,
    "failed": pb.HOSTED_STATE_FAILED,
}


class StatusServicer(pb_grpc.StatusServiceServicer):
    """Reads the supervisor's status."""

    def __init__(self, status: Status) -> None:
        self._status = status

    async def GetStatus(
        self, request: pb.GetStatusRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetStatusResponse:
        now = time.time()
        return pb.GetStatusResponse(
            models=[
                pb.HostedModel(
                    name=name,
                    state=_STATES[model.state],
                    state_milliseconds=max(0, round((now - model.since) * 1000)),
                    advice=model.advice,
                )
                for name, model in self._status.models.items()
            ]
        )
