"""Sees that a model, or the whole server, stopped answering.

A probe waits in the same queue as everybody: a slow answer from a busy model is no hang, so the backend's own counter
of work done (`kefu_vlm_progress_total`) is looked at before anything is torn down.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

import grpc
import structlog
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from kefu_modelhost.answering import answering, ended
from kefu_modelhost.errors import LoadError, ServerLost
from kefu_modelhost.hosted import Hosted
from kefu_modelhost.metrics import gives_metrics, read_progress
from kefu_modelhost.probe import ProbeError
from kefu_modelhost.server import TritonServer
from kefu_modelhost.settings import Settings

log = structlog.get_logger()

_TICK = 0.25
# A load takes cores and memory from those that serve: they are given this much more time to answer meanwhile.
_WHILE_LOADING = 3.0


class Watcher:
    """`lost(hosted, problem)` is called for a model that stopped answering; `told` when a probe has been answered."""

    def __init__(
        self,
        settings: Settings,
        server: TritonServer,
        client: InferenceServerClient,
        models: Sequence[Hosted],
        *,
        lost: Callable[[Hosted, str], None],
        told: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._server = server
        self._client = client
        self._models = models
        self._lost = lost
        self._told = told
        # Process ids of models that were ready, as last seen.
        self._known: dict[str, set[int]] = {}

    async def watch(self) -> None:
        """For ever; ServerLost as soon as the whole server is gone or deaf."""
        next_probe = time.monotonic() + self._settings.probe_seconds
        while True:
            await asyncio.sleep(_TICK)
            if not self._server.alive:
                raise ended(self._server)
            await self._processes()
            if time.monotonic() >= next_probe:
                await self._probe_all()
                next_probe = time.monotonic() + self._settings.probe_seconds

    async def _processes(self) -> None:
        alive: dict[str, set[int]] = {}
        for pid, name in (await asyncio.to_thread(self._server.stubs)).items():
            alive.setdefault(name, set()).add(pid)
        for hosted in self._models:
            if not hosted.ready:
                self._known.pop(hosted.name, None)
                continue
            now = alive.get(hosted.name, set())
            # None at all: it died between its first answer and the first look.
            if not now or self._known.setdefault(hosted.name, now) - now:
                self._known.pop(hosted.name, None)
                self._lost(hosted, f"the process of {hosted.name} died")

    async def _probe_all(self) -> None:
        ready = [hosted for hosted in self._models if hosted.ready]
        for hosted in ready:
            # Its process may have died while another one was asked.
            if hosted.ready:
                await self._probe(hosted)
        if not ready:
            await self._live()

    @property
    def _patience(self) -> float:
        loading = any(hosted.status.state == "loading" for hosted in self._models)
        return self._settings.probe_timeout * (_WHILE_LOADING if loading else 1.0)

    async def _live(self) -> None:
        """Nothing answers yet, so nothing can be probed; a server that hangs then says not even that it lives."""
        end = time.monotonic() + self._patience
        while time.monotonic() < end:
            with contextlib.suppress(InferenceServerException, grpc.aio.AioRpcError):
                if await self._client.is_server_live(client_timeout=self._settings.probe_timeout):
                    return
            if not self._server.alive:
                raise ended(self._server)
            await asyncio.sleep(_TICK)
        raise ServerLost(f"tritonserver does not say that it lives in {self._patience:g} s")

    async def _probe(self, hosted: Hosted) -> None:
        name, address = hosted.name, self._settings.metrics_address
        assert hosted.probe is not None
        while True:
            before = await read_progress(address, name)
            patience = self._patience
            try:
                took = await answering(self._server, hosted.probe.ask(patience), patience + 5)
            except (ProbeError, LoadError) as error:
                if not hosted.ready:
                    return
                after = await read_progress(address, name)
                # Without its process a model has no number; without a server there is no page.
                if after is None and not await gives_metrics(address):
                    raise ServerLost(f"{error}, and no metrics either") from error
                if before is not None and after is not None and after > before:
                    log.info("modelhost.busy", model=name)
                    continue
                self._lost(hosted, str(error))
                return
            if hosted.ready:
                hosted.status.probe_ms = round(took * 1000)
                self._told()
            return
