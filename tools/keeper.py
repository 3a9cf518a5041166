"""Keeps a few processes running: starts them, restarts what dies, and stops them in reverse order.

    async with Keeper(log_folder) as keeper:
        await keeper.start("gateway", [python, "-m", "kefu_gateway"], environment)

What kubelet does in a cluster, `./dev up`, the end-to-end tests and the benchmarks need here. Processes are stopped by
their own pid, never by name.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Seconds before a process that died is started again; doubles up to the most while it keeps dying.
RESTART_FIRST = 0.2
RESTART_MOST = 5.0
# Seconds that a process has to end by itself after SIGTERM.
STOP_GRACE = 40.0


@dataclass(slots=True)
class Kept:
    """One process, and the task that watches it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: asyncio.subprocess.Process | None = None
    watcher: asyncio.Task[None] | None = None
    restarts: int = 0

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid


def _end_with_parent() -> None:
    """In the child: SIGTERM when the keeper dies, however it dies, so that nothing is left running (prctl(2))."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


class Keeper:
    """Logs go to `folder/<name>.log`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.kept: dict[str, Kept] = {}

    async def __aenter__(self) -> Keeper:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for kept in reversed(list(self.kept.values())):
            await self._stop(kept)

    async def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> Kept:
        """Starts a process; from now on it is started again when it dies."""
        kept = Kept(name, command, environment, self._folder / f"{name}.log")
        kept.log.unlink(missing_ok=True)
        self.kept[name] = kept
        await self._spawn(kept)
        kept.watcher = asyncio.create_task(self._watch(kept))
        return kept

    async def stop(self, name: str) -> None:
        await self._stop(self.kept.pop(name))

    def tail(self, name: str, lines: int = 15) -> str:
        """The end of a process's log."""
        log = self.kept[name].log
        text = log.read_text(errors="replace") if log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    async def _spawn(self, kept: Kept) -> None:
        with kept.log.open("ab") as out:
            kept.process = await asyncio.create_subprocess_exec(
                *kept.command,
                env={**os.environ, **kept.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                # A group of its own: Ctrl-C in the terminal reaches us alone, and we stop them in order.
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )

    async def _watch(self, kept: Kept) -> None:
        pause = RESTART_FIRST
        while True:
            assert kept.process is not None
            loop = asyncio.get_running_loop()
            started = loop.time()
            await kept.process.wait()
            pause = RESTART_FIRST if loop.time() - started > 10 else min(pause * 2, RESTART_MOST)
            await asyncio.sleep(pause)
            kept.restarts += 1
            await self._spawn(kept)

    async def _stop(self, kept: Kept) -> None:
        if kept.watcher is not None:
            kept.watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await kept.watcher
        process = kept.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_GRACE):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
