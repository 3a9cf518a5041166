"""Keeps Triton answering: starts it, proves that it works, and brings it back.

    supervisor = Supervisor(settings)
    await supervisor.run(stop=event)

What can go wrong, and what is done:

| seen | how | answer |
| --- | --- | --- |
| a model cannot be loaded | its load fails or is too slow (`loading.py`) | `failed`; tried again alone (`retries.py`) |
| no model can be loaded | the same of all | the server is started again, with growing pauses |
| the server died | its process ended | clear its remains, start again |
| a stub died | its process is gone (`watching.py`) | where others serve: unload and load that model; else as above |
| a model hangs | a probe without an answer, and nothing else moves | the same |
| the server hangs | it does not even give its metrics | as if it had died |

Triton never ends the streams of a stub that died.  Ending the server ends them at once, and the callers hear of it;
where other models have callers of their own, those of the dead one are left to their stream timeout.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import grpc
import structlog
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from kefu_modelhost import layout, ports
from kefu_modelhost.answering import answering
from kefu_modelhost.card import find_card
from kefu_modelhost.checks import require_loadable
from kefu_modelhost.closed import key_header
from kefu_modelhost.errors import LoadError, ServerLost, SetupError
from kefu_modelhost.hosted import Hosted
from kefu_modelhost.loading import Loader
from kefu_modelhost.retries import HEALTHY_SECONDS, Retry, RetryRules
from kefu_modelhost.server import TritonServer
from kefu_modelhost.settings import Settings
from kefu_modelhost.status import Status
from kefu_modelhost.watching import Watcher

log = structlog.get_logger()

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
# The server itself loads nothing: minutes are for the models.
SERVER_SECONDS = 180.0


class Supervisor:
    """One server with its models."""

    def __init__(
        self, settings: Settings, told: Callable[[str], None] = lambda state: None
    ) -> None:
        """`told` hears of every state (`status.py`). SetupError where no model of all can be loaded as things are."""
        self._settings = settings
        self._admin_key = settings.admin_key or secrets.token_urlsafe(24)
        cards = [find_card(name, settings.repositories) for name in settings.model_names]
        if not cards:
            raise SetupError("no models to load (KEFU_MODELS)")
        problems = []
        for card in cards:
            try:
                require_loadable(card, settings)
            except SetupError as error:
                problems.append(str(error))
        if len(problems) == len(cards):
            raise SetupError("\n".join(problems))
        rules = RetryRules(longest=settings.retry_seconds, attempts=settings.retry_attempts)
        self._models = [Hosted(card, Retry(rules)) for card in cards]
        self.status = Status(
            path=settings.status_file,
            grpc=settings.grpc_address,
            metrics=settings.metrics_address,
            http=f"{settings.host}:{settings.http_port}" if settings.http_port else None,
            log=str(settings.run_dir / "tritonserver.log"),
            models={hosted.name: hosted.status for hosted in self._models},
            told=told,
        )
        self._server: TritonServer
        self._client: InferenceServerClient
        self._loader: Loader
        # Something is to be loaded sooner than was thought.
        self._wake = asyncio.Event()
        self._serving_since: float | None = None
        self._patient_until = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; then drains.  SetupError when the server itself cannot be started the first time."""
        with _only_one(self._settings.run_dir):
            self.status.change("starting")
            try:
                await self._set_up()
                await self._until(self._start(), stop)
            except Exception as error:
                if hasattr(self, "_server"):
                    await self._server.kill()
                self.status.change("failed", str(error))
                told = isinstance(error, ServerLost | LoadError)
                raise SetupError(str(error)) if told else error from error
            try:
                await self._keep(stop)
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
        self._loader = Loader(
            s, self._server, self._client, key_header(self._admin_key), self._tell
        )

    async def _keep(self, stop: asyncio.Event) -> None:
        """One life of the server after the other; the first has begun."""
        pause, started = _FIRST_PAUSE, True
        while not stop.is_set():
            self._serving_since = None
            try:
                if not started:
                    await self._until(self._start(), stop)
                await self._until(self._live(), stop)
                continue
            except (ServerLost, LoadError, SetupError) as error:
                lost = str(error)
            started = False
            self._blame(lost)
            await self._server.kill()
            nothing = self._all_failed
            for hosted in self._models:
                hosted.forget_server()
                # Where nothing can be loaded, nothing is spared: all are tried with the new server.
                if nothing:
                    hosted.try_anew()
            self.status.change("recovering", lost)
            # One that served is brought back at once; one that never did is given time.
            since = self._serving_since
            if since is not None:
                pause = _FIRST_PAUSE if time.monotonic() - since > HEALTHY_SECONDS else pause
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _start(self) -> None:
        self.status.starts += 1
        self._patient_until = time.monotonic() + self._settings.start_timeout
        await self._server.start()
        self.status.triton_pid = self._server.pid
        self.status.write()
        await answering(self._server, self._alive(), SERVER_SECONDS)

    async def _alive(self) -> None:
        while True:
            with contextlib.suppress(InferenceServerException, grpc.aio.AioRpcError):
                if await self._client.is_server_live(client_timeout=2.0):
                    return
            await asyncio.sleep(0.1)

    async def _live(self) -> None:
        """Loads what is to be loaded and watches what answers, both at once; raises ServerLost."""
        watcher = Watcher(
            self._settings,
            self._server,
            self._client,
            self._models,
            lost=self._lose,
            told=self._tell,
        )
        tasks = [asyncio.create_task(work) for work in (self._load_when_due(), watcher.watch())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    await task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _load_when_due(self) -> None:
        """One model after the other, those that never failed first."""
        while True:
            self._wake.clear()
            now = time.monotonic()
            waiting = [
                (hosted.status.state == "failed", hosted.retry.due, number)
                for number, hosted in enumerate(self._models)
                if not hosted.ready and hosted.retry.due is not None
            ]
            due = sorted(one for one in waiting if one[1] <= now)
            if due:
                await self._load(self._models[due[0][2]])
                continue
            pause = min((one[1] - now for one in waiting), default=None)
            self._tell()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause)

    async def _load(self, hosted: Hosted) -> None:
        self.status.reloads += hosted.status.state in ("lost", "failed")
        await self._loader.load(hosted)
        if hosted.ready:
            self._serving_since = self._serving_since or time.monotonic()
            return
        self.status.problem = self._told_of(hosted)
        if self._all_failed:
            raise ServerLost("; ".join(self._told_of(hosted) for hosted in self._models))

    @property
    def _all_failed(self) -> bool:
        return all(hosted.failed for hosted in self._models)

    def _blame(self, lost: str) -> None:
        """A server that ended during a load most likely ended of it: the others are loaded first, and serve until that
        model is tried again."""
        for hosted in self._models:
            if hosted.status.state == "loading" and not self._server.alive:
                self._loader.fail(hosted, lost, longest=True)

    @staticmethod
    def _told_of(hosted: Hosted) -> str:
        status = hosted.status
        advice = f" — {status.advice}" if status.advice else ""
        return f"{hosted.name} cannot be loaded: {status.problem}{advice}"

    def _lose(self, hosted: Hosted, problem: str) -> None:
        """A model stopped answering. ServerLost where nobody else would suffer from a new server."""
        now = time.monotonic()
        hosted.retry.served(time.time() - hosted.status.since, now)
        hosted.status.change("lost", problem)
        self.status.problem = problem
        log.warning("modelhost.model_lost", model=hosted.name, problem=problem)
        if not any(one.status.state in ("ready", "loading") for one in self._models):
            raise ServerLost(problem)
        self._tell()
        self._wake.set()

    def _tell(self) -> None:
        """The host's state follows from its models'."""
        ready = [hosted for hosted in self._models if hosted.ready]
        late = time.monotonic() > self._patient_until
        if len(ready) == len(self._models):
            self.status.change("ready")
        elif ready and (late or all(hosted.tried for hosted in self._models)):
            self.status.change("degraded")
        elif self.status.state in ("ready", "degraded"):
            self.status.change("recovering")
        else:
            self.status.write()

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
