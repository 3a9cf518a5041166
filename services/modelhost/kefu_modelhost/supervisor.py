"""Keeps Triton answering: starts it, proves that it works, and brings it back.

    supervisor = Supervisor(settings)
    await supervisor.run(stop=event)

What can go wrong, and what is done:

| seen | how | answer |
| --- | --- | --- |
| the server died | its process ended | clear its remains, start again (with growing pauses) |
| a stub died | its process is gone | one model: as above; several: unload and load that model |
| a model hangs | a probe without an answer, and nothing else moves | the same |
| the server hangs | it does not even give its metrics | as if it had died |

Triton never ends the streams of a stub that died.  Ending the server ends them at once, and the callers hear of it;
where other models have callers of their own, those of the dead one are left to their stream timeout.

A probe waits in the same queue as everybody: a slow answer from a busy model is no hang, so the backend's own counter
of work done (`kefu_vlm_progress_total`) is looked at before anything is torn down.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import grpc
import structlog
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from kefu_modelhost import layout, ports
from kefu_modelhost.advice import advise, said
from kefu_modelhost.card import ModelCard, find_card
from kefu_modelhost.closed import key_header
from kefu_modelhost.errors import SetupError
from kefu_modelhost.matching import require_match
from kefu_modelhost.metrics import read_progress
from kefu_modelhost.probe import PICTURE, Probe, ProbeError
from kefu_modelhost.server import TritonServer
from kefu_modelhost.settings import Settings
from kefu_modelhost.status import ModelStatus, Status

log = structlog.get_logger()

T = TypeVar("T")

_TICK = 0.25
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
# A server that lived so long has recovered: the next failure starts with a short pause again.
_HEALTHY_SECONDS = 60.0
_UNLOAD_SECONDS = 15.0


class Lost(Exception):
    """The server stopped answering, or the models named."""

    def __init__(self, problem: str, *models: str) -> None:
        super().__init__(problem)
        self.models = models


class Supervisor:
    """One server with its models."""

    def __init__(
        self, settings: Settings, told: Callable[[str], None] = lambda state: None
    ) -> None:
        """`told` hears of every state (`status.py`)."""
        self._settings = settings
        self._admin_key = settings.admin_key or secrets.token_urlsafe(24)
        self._headers = key_header(self._admin_key)
        self._cards = [find_card(name, settings.repositories) for name in settings.model_names]
        if not self._cards:
            raise SetupError("no models to load (KEFU_MODELS)")
        for card in self._cards:
            _require_weights(card, settings.weights.expanduser())
            _require_environment(card, settings.engine_envs.expanduser())
        self.status = Status(
            path=settings.status_file,
            grpc=settings.grpc_address,
            metrics=settings.metrics_address,
            http=f"{settings.host}:{settings.http_port}" if settings.http_port else None,
            log=str(settings.run_dir / "tritonserver.log"),
            models={card.name: ModelStatus() for card in self._cards},
            told=told,
        )
        self._server: TritonServer
        self._client: InferenceServerClient
        self._probes: list[Probe] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; then drains.  SetupError when the server itself cannot be started the first time."""
        with _only_one(self._settings.run_dir):
            self.status.change("starting")
            lost: Lost | None = None
            try:
                await self._set_up()
                await self._until(self._start(), stop)
            except Exception as error:
                if hasattr(self, "_server"):
                    await self._server.kill()
                if not (isinstance(error, Lost) and error.models):
                    self.status.change("failed", str(error))
                    raise SetupError(str(error)) if isinstance(error, Lost) else error from error
                # The server is fine, a model is not: memory may come free, and whoever asks is told what to change.
                lost = error
            try:
                await self._keep(stop, lost)
            finally:
                self.status.change("draining")
                await self._server.stop(self._settings.drain_timeout)
                await self._client.close()
                self.status.triton_pid = None
                self.status.change("stopped")

    async def _set_up(self) -> None:
        s = self._settings
        prepared = await asyncio.to_thread(
            layout.prepare, s.triton_env, s.backends, s.run_dir, home=s.triton_home
        )
        self._server = TritonServer(s, prepared, self._admin_key)
        killed, removed = await self._server.clear_previous()
        if killed or removed:
            log.warning("modelhost.cleared_remains", processes=killed, shared_memory=removed)
        wanted = {
            "KEFU_TRITON_GRPC_PORT": s.grpc_port,
            "KEFU_TRITON_METRICS_PORT": s.metrics_port,
        }
        if s.http_port:
            wanted["KEFU_TRITON_HTTP_PORT"] = s.http_port
        ports.require_free(s.host, wanted)
        self._client = InferenceServerClient(s.grpc_address)
        self._probes = [Probe(self._client, card, s.weights.expanduser()) for card in self._cards]

    async def _keep(self, stop: asyncio.Event, lost: Lost | None) -> None:
        """`lost`: what the start failed of, if it did; the first attempt then waits."""
        pause, healthy_since = _FIRST_PAUSE, time.monotonic()
        failed = lost is not None
        while not stop.is_set():
            if lost is None:
                try:
                    await self._until(self._watch(), stop)
                    continue
                except Lost as error:
                    lost, failed = error, False
                    if time.monotonic() - healthy_since > _HEALTHY_SECONDS:
                        pause = _FIRST_PAUSE
            self.status.change("recovering", str(lost))
            if failed:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            lost = await self._until(self._recover(lost), stop)
            failed = lost is not None
            healthy_since = time.monotonic()

    async def _recover(self, lost: Lost) -> Lost | None:
        """One attempt; what it failed of, if it did."""
        try:
            if lost.models and len(self._cards) > 1 and self._server.alive:
                self.status.reloads += 1
                await self._load(lost.models, unload=True)
            else:
                await self._server.kill()
                await self._start()
            return None
        except (Lost, SetupError, ProbeError) as error:
            # Whatever state the server is in now, the next attempt is a new one.
            await self._server.kill()
            return error if isinstance(error, Lost) else Lost(str(error))

    async def _start(self) -> None:
        self.status.starts += 1
        await self._server.start()
        self.status.triton_pid = self._server.pid
        self.status.write()
        await self._answering(self._live(), self._settings.start_timeout)
        await self._load(self._settings.model_names, unload=False)

    async def _live(self) -> None:
        while True:
            with contextlib.suppress(InferenceServerException, grpc.aio.AioRpcError):
                if await self._client.is_server_live(client_timeout=2.0):
                    return
            await asyncio.sleep(0.1)

    async def _load(self, names: Sequence[str], *, unload: bool) -> None:
        for name in names:
            self.status.models[name].change("waiting")
        for card, probe in zip(self._cards, self._probes, strict=True):
            if card.name in names:
                await self._load_one(card, probe, unload=unload)
        self.status.change("ready")

    async def _load_one(self, card: ModelCard, probe: Probe, *, unload: bool) -> None:
        """Lost, with what to change where that can be told."""
        status = self.status.models[card.name]
        status.change("loading")
        self.status.write()
        log.info("modelhost.loading", model=card.name, engine=card.engine)
        try:
            if unload:
                await self._answering(
                    self._client.unload_model(
                        card.name, headers=self._headers, client_timeout=_UNLOAD_SECONDS
                    ),
                    _UNLOAD_SECONDS,
                )
                await self._answering(self._gone(card.name), _UNLOAD_SECONDS)
            timeout = self._settings.start_timeout
            await self._answering(
                self._client.load_model(card.name, headers=self._headers, client_timeout=timeout),
                timeout,
            )
            took = await self._answering(probe.ask(timeout), timeout)
            if card.max_pictures:
                took = await self._answering(probe.ask(timeout, picture=PICTURE), timeout)
        except (Lost, ProbeError) as error:
            words, advice = said(str(error)), advise(card, str(error))
            status.change("failed", words, advice)
            self.status.write()
            told = f"{card.name} cannot be loaded: {words}" + (f" — {advice}" if advice else "")
            raise Lost(told, card.name) from error
        seconds = time.time() - status.since
        status.change("ready")
        status.probe_ms = round(took * 1000)
        self.status.write()
        log.info(
            "modelhost.model_ready",
            model=card.name,
            seconds=round(seconds, 1),
            probe_ms=status.probe_ms,
        )

    async def _gone(self, name: str) -> None:
        """unload_model answers before the model is gone; loading it again meanwhile would change nothing."""
        while await self._client.is_model_ready(name, client_timeout=2.0):  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.05)

    async def _answering(self, call: Awaitable[T], timeout: float) -> T:
        """The call's result; Lost when the server dies meanwhile, or the call fails or takes too long."""
        task = asyncio.ensure_future(call)
        death = asyncio.ensure_future(self._server.wait())
        try:
            await asyncio.wait({task, death}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return await task
            if death.done():
                raise Lost(
                    f"tritonserver ended with {death.result()}: {_last_error(self._server.log_tail())}"
                    f" (log: {self._server.log_path})"
                )
            raise Lost(
                f"no answer from tritonserver in {timeout:g} s: a large model may need more"
                " (KEFU_TRITON_START_TIMEOUT)"
            )
        except InferenceServerException as error:
            raise Lost(f"tritonserver refused: {error.message()}") from error
        except grpc.aio.AioRpcError as error:
            raise Lost(f"tritonserver: {error.code().name}: {error.details()}") from error
        finally:
            for pending in (task, death):
                pending.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await pending

    async def _watch(self) -> None:
        """Raises Lost as soon as something is wrong."""
        stubs = await asyncio.to_thread(self._server.stubs)
        next_probe = time.monotonic() + self._settings.probe_seconds
        while True:
            await asyncio.sleep(_TICK)
            if not self._server.alive:
                raise Lost(f"tritonserver ended with {self._server.exit_code}")
            alive = await asyncio.to_thread(self._server.stubs)
            if dead := sorted({model for pid, model in stubs.items() if pid not in alive}):
                for model in dead:
                    self.status.models[model].change("lost")
                raise Lost(f"the process of {', '.join(dead)} died", *dead)
            if time.monotonic() >= next_probe:
                for card, probe in zip(self._cards, self._probes, strict=True):
                    await self._probe(card, probe)
                next_probe = time.monotonic() + self._settings.probe_seconds

    async def _probe(self, card: ModelCard, probe: Probe) -> None:
        status = self.status.models[card.name]
        while True:
            before = await read_progress(self._settings.metrics_address, card.name)
            try:
                took = await self._answering(
                    probe.ask(self._settings.probe_timeout), self._settings.probe_timeout + 5
                )
            except ProbeError as error:
                after = await read_progress(self._settings.metrics_address, card.name)
                if after is None:
                    raise Lost(f"{error}, and no metrics either") from error
                if before is not None and after > before:
                    log.info("modelhost.busy", model=card.name)
                    continue
                status.change("lost", str(error))
                raise Lost(str(error), card.name) from error
            status.change("ready")
            status.probe_ms = round(took * 1000)
            self.status.write()
            return

    async def _until(self, work: Awaitable[T], stop: asyncio.Event) -> T | None:
        """The work's result, or None when `stop` came first (the work is then cancelled)."""
        task = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return await task if task.done() else None
        finally:
            for pending in (task, stopping):
                if not pending.done():
                    pending.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await pending


def _last_error(tail: str) -> str:
    """The line of the server's log that most likely says why."""
    lines = [line for line in tail.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("E") or "rror" in line]
    return (errors or lines or ["it said nothing"])[-1][:400]


def _require_weights(card: ModelCard, weights: Path) -> None:
    require_match(card, weights / card.name)
    for name in (*(f.name for f in card.files), card.tokenizer):
        if not (weights / card.name / name).is_file():
            raise SetupError(
                f"{weights / card.name / name} is missing: run `python -m kefu_modelhost pull {card.name}`,"
                " or set KEFU_WEIGHTS_DIR to the folder that has it"
            )


def _require_environment(card: ModelCard, environments: Path) -> None:
    """A card may name an environment that its engine cannot do without; others find theirs, or run in Triton's own."""
    name = card.raw.get("engine_settings", {}).get("environment")
    if name and not (environments / name / "bin" / "python").exists():
        raise SetupError(
            f"{card.name} needs the environment {environments / name}: make it with the Python of Triton's own,"
            f" `python3 -m venv {environments / name} && {environments / name}/bin/pip install"
            f" -r requirements/{name}.txt -r requirements/torch.txt`, or set KEFU_ENGINE_ENVS"
        )


@contextlib.contextmanager
def _only_one(run_dir: Path) -> Iterator[None]:
    """SetupError when another supervisor uses the folder; the lock ends with the process, however it ends."""
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SetupError(
                f"another model host runs in {run_dir}: stop it, or set KEFU_TRITON_RUN_DIR"
            ) from error
        yield
