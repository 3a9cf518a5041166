"""The tritonserver process: starting it, knowing that it died, stopping it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from pathlib import Path

from kefu_modelhost import orphans
from kefu_modelhost.closed import closed_arguments
from kefu_modelhost.layout import Layout
from kefu_modelhost.orphans import RUN_VARIABLE, Run
from kefu_modelhost.settings import Settings

_LOG_TAIL = 4000
_STUB = "triton_python_backend_stub"


class TritonServer:
    """One server at a time; every start is a new run with an id of its own (`orphans.py`)."""

    def __init__(self, settings: Settings, layout: Layout, admin_key: str) -> None:
        self._settings = settings
        self._admin_key = admin_key
        self._layout = layout
        self._log_path = settings.run_dir.resolve() / "tritonserver.log"
        self._record = settings.run_dir.resolve() / "run.json"
        self._process: asyncio.subprocess.Process | None = None
        self._run: Run | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode if self._process else None

    def stubs(self) -> dict[int, str]:
        """The models' processes of this run: process id to model name."""
        found = {}
        for pid in orphans.processes(self._run) if self._run else ():
            with contextlib.suppress(OSError):
                # "<stub> <repository>/<model>/<version>/model.py <region> …"
                arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if Path(arguments[0].decode()).name == _STUB and len(arguments) > 1:
                    found[pid] = Path(arguments[1].decode()).parent.parent.name
        return found

    def end_stubs(self, model: str) -> int:
        """Kills the model's processes and what they started; how many of them were its own."""
        mine = [pid for pid, name in self.stubs().items() if name == model]
        for pid in (*orphans.descendants(mine), *mine):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(mine)

    async def start(self) -> None:
        self._run = Run(secrets.token_hex(6))
        orphans.record(self._run, self._record)
        # The log of the run before is what one wants to read after a crash.
        with contextlib.suppress(FileNotFoundError):
            os.replace(self._log_path, self._log_path.with_suffix(".previous.log"))
        with self._log_path.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(self._layout.binary),
                *self._arguments(self._run),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(self._run),
                # Ctrl-C in a terminal goes to the whole group: the server must hear of it from us alone.
                start_new_session=True,
            )

    async def wait(self) -> int:
        """Until the process ends; its exit code (negative: the signal that ended it)."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self, drain: float) -> None:
        """SIGTERM, `drain` seconds for running answers, then SIGKILL; clears what is left in any case."""
        if self.alive and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), drain)
        await self.kill()

    async def kill(self) -> tuple[int, int]:
        """Ends every process of this run and removes its shared memory; how many of each were still there."""
        if self._run is None:
            return 0, 0
        left = await asyncio.to_thread(orphans.clear, self._run)
        if self._process is not None:
            await self._process.wait()
        return left

    async def clear_previous(self) -> tuple[int, int]:
        """The same for the run that a supervisor before us recorded and could not end."""
        previous = orphans.recorded(self._record)
        return await asyncio.to_thread(orphans.clear, previous) if previous else (0, 0)

    def log_tail(self) -> str:
        with contextlib.suppress(OSError), self._log_path.open("rb") as log:
            log.seek(max(0, self._log_path.stat().st_size - _LOG_TAIL))
            return log.read().decode("utf-8", "replace")
        return ""

    @property
    def log_path(self) -> Path:
        return self._log_path

    def _arguments(self, run: Run) -> list[str]:
        s = self._settings
        return [
            *(f"--model-repository={r.resolve()}" for r in s.repositories),
            f"--backend-directory={self._layout.backends}",
            "--model-control-mode=explicit",
            "--strict-readiness=false",
            "--disable-auto-complete-config",
            f"--grpc-address={s.host}",
            f"--grpc-port={s.grpc_port}",
            f"--allow-http={'true' if s.http_port else 'false'}",
            *([f"--http-address={s.host}", f"--http-port={s.http_port}"] if s.http_port else []),
            *closed_arguments(self._admin_key, http=bool(s.http_port), flags=self._layout.flags),
            *self._aging(),
            *self._tracing(),
            f"--metrics-address={s.host}",
            f"--metrics-port={s.metrics_port}",
            f"--exit-timeout-secs={max(1, round(s.drain_timeout))}",
            # Settings of the library under every Python-based backend; the prefix is how a region is known as ours.
            f"--backend-config=python,shm-region-prefix-name={run.shm_prefix}",
            f"--backend-config=vlm,shm-region-prefix-name={run.shm_prefix}",
            "--log-info=true",
        ]

    def _tracing(self) -> list[str]:
        url = self._settings.traces_url
        if not url:
            return []
        return [
            "--trace-config=mode=opentelemetry",
            "--trace-config=level=TIMESTAMPS",
            # None of its own: only requests that a sampled caller sent with a `traceparent`.
            "--trace-config=rate=0",
            f"--trace-config=opentelemetry,url={url}",
            "--trace-config=opentelemetry,resource=service.name=triton",
        ]

    def _aging(self) -> list[str]:
        if not self._settings.connection_seconds:
            return []
        return [
            f"--grpc-max-connection-age={self._settings.connection_seconds * 1000}",
            f"--grpc-max-connection-age-grace={round(self._settings.drain_timeout * 1000)}",
        ]

    def _environment(self, run: Run) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
        return {
            **kept,
            **self._layout.environment,
            RUN_VARIABLE: run.id,
            "KEFU_WEIGHTS_DIR": str(self._settings.weights.expanduser().resolve()),
            "KEFU_ENGINE_ENVS": str(self._settings.engine_envs.expanduser().resolve()),
            # Threads of the allocator's arenas multiply memory by the number of cores.
            "MALLOC_ARENA_MAX": "2",
        }
