"""Loads one model at a time and leaves the others alone.

    loader = Loader(settings, server, client, headers, told)
    await loader.load(hosted)

One after the other, because engines measure the free memory of a GPU while they load. What one load can meet:

| seen | what is done |
| --- | --- |
| weights or an environment are missing | told without asking the server; looked at again at the next attempt |
| the engine raises | the model is `failed`, with its words and with what to lower |
| its process dies | Triton says so within a second or two, or we do a little later: `failed` |
| it loads longer than it may | its processes are ended: `failed` |
| it loads, and does not answer | unloaded, so that Triton does not call it ready: `failed` |
| the server dies | ServerLost, and the model that was being loaded waits longest |
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping

import structlog
from tritonclient.grpc.aio import InferenceServerClient

from kefu_modelhost.advice import advise, said
from kefu_modelhost.answering import NoAnswerError, answering
from kefu_modelhost.card import ModelCard
from kefu_modelhost.checks import require_loadable
from kefu_modelhost.errors import LoadError, SetupError
from kefu_modelhost.hosted import Hosted, seconds_to_load
from kefu_modelhost.probe import PICTURE, Probe, ProbeError
from kefu_modelhost.server import TritonServer
from kefu_modelhost.settings import Settings

log = structlog.get_logger()

_UNLOAD_SECONDS = 15.0
_LOOK_SECONDS = 0.1
# Mostly Triton does notice, and has the engine's own words.
_WORDS_SECONDS = 10.0
_SPAWN_SECONDS = 30.0


class Loader:
    """`told` is called whenever a model's state has changed."""

    def __init__(
        self,
        settings: Settings,
        server: TritonServer,
        client: InferenceServerClient,
        headers: Mapping[str, str],
        told: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._server = server
        self._client = client
        self._headers = dict(headers)
        self._told = told

    async def load(self, hosted: Hosted) -> None:
        """The model is `ready` or `failed` after it.  ServerLost when the server died meanwhile."""
        hosted.status.change("loading")
        self._told()
        log.info("modelhost.loading", model=hosted.name, engine=hosted.card.engine)
        try:
            took = await self._load(hosted)
        except (LoadError, SetupError, ProbeError) as error:
            await self._clear(hosted)
            self.fail(hosted, str(error))
            return
        seconds = time.time() - hosted.status.since
        hosted.tried = True
        hosted.status.retry_at = None
        hosted.status.change("ready")
        hosted.status.probe_ms = round(took * 1000)
        self._told()
        log.info(
            "modelhost.model_ready",
            model=hosted.name,
            seconds=round(seconds, 1),
            probe_ms=hosted.status.probe_ms,
        )

    def fail(self, hosted: Hosted, problem: str, *, longest: bool = False) -> None:
        """Writes down why, what to change, and when it is tried again."""
        words, advice = said(problem), advise(hosted.card, problem)
        now = time.monotonic()
        hosted.tried = True
        hosted.retry.failed(now, longest=longest)
        due = hosted.retry.due
        status = hosted.status
        status.failures += 1
        status.retry_at = None if due is None else time.time() + (due - now)
        status.change("failed", words, advice)
        log.error(
            "modelhost.model_failed",
            model=hosted.name,
            problem=words,
            advice=advice,
            again_in_seconds=None if due is None else round(due - now, 1),
        )
        self._told()

    async def _load(self, hosted: Hosted) -> float:
        """Seconds that its first answer took."""
        card, name = hosted.card, hosted.name
        await asyncio.to_thread(require_loadable, card, self._settings)
        if hosted.probe is None:
            hosted.probe = await asyncio.to_thread(self._probe, card)
        if hosted.in_server:
            await self._unload(name)
            hosted.in_server = False
        limit = seconds_to_load(card, self._settings.start_timeout)
        end = time.monotonic() + limit
        try:
            await self._loaded(name, limit)
            hosted.in_server = True
            # The first answers compile and warm up: what is left of the limit is theirs.
            left = max(end - time.monotonic(), self._settings.probe_timeout)
            took = await answering(self._server, hosted.probe.ask(left), left + 5)
            if card.max_pictures:
                took = await answering(
                    self._server, hosted.probe.ask(left, picture=PICTURE), left + 5
                )
        except NoAnswerError as error:
            raise LoadError(
                f"{name} was not loaded in {limit:g} s: a large model, or slow storage, may need more"
                " (KEFU_TRITON_START_TIMEOUT, or load_seconds in its card)"
            ) from error
        return took

    async def _loaded(self, name: str, limit: float) -> None:
        call = self._client.load_model(name, headers=self._headers, client_timeout=limit + 5)
        load = asyncio.create_task(answering(self._server, call, limit))
        death = asyncio.create_task(self._death_of(name))
        try:
            await asyncio.wait({load, death}, return_when=asyncio.FIRST_COMPLETED)
            if not load.done():
                raise LoadError(f"the process of {name} died while it was loading")
            await load
        finally:
            for task in (load, death):
                task.cancel()
            await asyncio.gather(load, death, return_exceptions=True)

    async def _death_of(self, name: str) -> None:
        """Triton itself does not notice a process that dies just after its start, and would wait for it."""
        # It may have come and gone between two looks.
        patience, alive = _SPAWN_SECONDS, time.monotonic()
        while time.monotonic() - alive < patience:
            await asyncio.sleep(_LOOK_SECONDS)
            if name in (await asyncio.to_thread(self._server.stubs)).values():
                patience, alive = _WORDS_SECONDS, time.monotonic()

    def _probe(self, card: ModelCard) -> Probe:
        try:
            return Probe(self._client, card, self._settings.weights.expanduser())
        except (
            Exception
        ) as error:  # the tokenizer's library raises a plain Exception for every fault
            raise SetupError(
                f"the tokenizer of {card.name} cannot be read: {str(error)[:200]}"
            ) from error

    async def _clear(self, hosted: Hosted) -> None:
        """After a failure: no process goes on loading, and nothing that does not answer is called ready."""
        await asyncio.to_thread(self._server.end_stubs, hosted.name)
        if hosted.in_server:
            with contextlib.suppress(LoadError):
                await self._unload(hosted.name)
            hosted.in_server = False

    async def _unload(self, name: str) -> None:
        call = self._client.unload_model(
            name, headers=self._headers, client_timeout=_UNLOAD_SECONDS
        )
        await answering(self._server, call, _UNLOAD_SECONDS)
        await answering(self._server, self._gone(name), _UNLOAD_SECONDS)

    async def _gone(self, name: str) -> None:
        """unload_model answers before the model is gone; loading it again meanwhile would change nothing."""
        while await self._client.is_model_ready(name, client_timeout=2.0):  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.05)
