"""What each model does, for ModelService: it answers, it is being loaded, or neither; since when, and what to change.

    states = ModelStates(host, modelhost_channel, time.monotonic)
    await states.look("qwen3_vl_4b", answers=False)
    states.now("qwen3_vl_4b")         # ModelNow("loading", seconds=41.0, advice="")

A model that does not answer is looked at: by the model host where its address is set, which knows why; else by Triton's
own readiness, which tells a model that is not there (yet) from one that is there and mute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import grpc

from kefu.modelhost.v1 import status_service_pb2 as pb
from kefu.modelhost.v1 import status_service_pb2_grpc as pb_grpc
from kefu_gateway.adapters.triton import TritonHost
from kefu_gateway.domain.hosted import ModelNow

_ASK_SECONDS = 2.0
_COMING = (pb.HOSTED_STATE_WAITING, pb.HOSTED_STATE_LOADING, pb.HOSTED_STATE_LOST)


@dataclass(frozen=True, slots=True)
class Known:
    """`state`: "ready", "loading" or "unavailable"; `since` by the clock, in seconds."""

    state: str
    since: float
    advice: str = ""


class ModelStates:
    def __init__(
        self,
        host: TritonHost,
        modelhost: grpc.aio.Channel | None,
        clock: Callable[[], float],
    ) -> None:
        """`modelhost`: a channel to the model host's health address; None where there is none."""
        self._host = host
        self._modelhost = pb_grpc.StatusServiceStub(modelhost) if modelhost is not None else None
        self._clock = clock
        self._began = clock()
        self._known: dict[str, Known] = {}

    def now(self, model: str) -> ModelNow:
        known = self._known.get(model, Known("unavailable", self._began))
        return ModelNow(known.state, max(0.0, self._clock() - known.since), known.advice)

    async def look(self, model: str, *, answers: bool) -> None:
        """Never raises: what cannot be asked is unavailable."""
        if answers:
            self._tell(model, Known("ready", self._clock()))
            return
        try:
            self._tell(model, await self._ask(model))
        except grpc.aio.AioRpcError:
            self._tell(model, Known("unavailable", self._clock()))

    async def _ask(self, model: str) -> Known:
        now = self._clock()
        if self._modelhost is not None:
            response = await self._modelhost.GetStatus(pb.GetStatusRequest(), timeout=_ASK_SECONDS)
            found = next((one for one in response.models if one.name == model), None)
            if found is not None:
                coming = found.state in _COMING
                since = now - found.state_milliseconds / 1000
                return Known("loading" if coming else "unavailable", since, found.advice)
        there = await self._host.ready(model)
        return Known("unavailable" if there else "loading", now)

    def _tell(self, model: str, new: Known) -> None:
        old = self._known.get(model)
        if old is not None and (old.state, old.advice) == (new.state, new.advice):
            # Still the same: what matters is when it began.
            new = Known(old.state, min(old.since, new.since), old.advice)
        self._known[model] = new
