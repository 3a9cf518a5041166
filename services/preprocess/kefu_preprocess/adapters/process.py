"""One worker process as seen from the event loop: start, ask, end. Nothing here blocks the loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from kefu_preprocess.adapters import frames

WORKER_COMMAND = (sys.executable, "-m", "kefu_preprocess.adapters.worker")
# A fresh interpreter that imports NumPy and OpenCV; generous, for a machine that is busy.
START_SECONDS = 30.0
# One blob: a prepared picture and its marked copy; 12 MP lossless stays below this.
_BLOB_LIMIT = 128 * 1024 * 1024


class WorkerGoneError(Exception):
    """The process ended, or said something that no worker says. It must be replaced."""


class WorkerProcess:
    """A running worker. Asked one job at a time."""

    def __init__(self, process: asyncio.subprocess.Process, connection: socket.socket) -> None:
        self._process = process
        self._connection = connection

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @classmethod
    async def start(cls, memory_mb: int, command: Sequence[str] = WORKER_COMMAND) -> WorkerProcess:
        """Starts one and waits until it is ready. Raises WorkerGoneError or OSError."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    str(theirs.fileno()),
                    str(memory_mb),
                    pass_fds=(theirs.fileno(),),
                    stdin=asyncio.subprocess.DEVNULL,
                    env=_environment(os.environ),
                )
        except BaseException:
            ours.close()
            raise
        ours.setblocking(False)
        worker = cls(process, ours)
        try:
            async with asyncio.timeout(START_SECONDS):
                await worker._receive()
        except BaseException as error:
            await worker.end()
            if isinstance(error, TimeoutError):
                raise WorkerGoneError from None
            raise
        return worker

    async def ask(self, head: dict[str, Any], blob: bytes) -> tuple[dict[str, Any], bytes]:
        """One job, one answer. Raises WorkerGoneError. After a cancellation the worker is in no known state: end it."""
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_sendall(self._connection, frames.pack(head, len(blob)))
            await loop.sock_sendall(self._connection, blob)
        except OSError:
            raise WorkerGoneError from None
        return await self._receive()

    async def end(self) -> None:
        """Kills it and waits until it is gone."""
        self._connection.close()
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()

    async def _receive(self) -> tuple[dict[str, Any], bytes]:
        prefix = await self._exactly(frames.PREFIX.size)
        head_bytes, blob_bytes = frames.PREFIX.unpack(prefix)
        if head_bytes > frames.HEAD_LIMIT or blob_bytes > _BLOB_LIMIT:
            raise WorkerGoneError
        try:
            head = json.loads(await self._exactly(head_bytes))
        except ValueError:
            raise WorkerGoneError from None
        if not isinstance(head, dict):
            raise WorkerGoneError
        return head, bytes(await self._exactly(blob_bytes))

    async def _exactly(self, count: int) -> bytearray:
        loop = asyncio.get_running_loop()
        buffer = bytearray(count)
        view = memoryview(buffer)
        while view:
            try:
                received = await loop.sock_recv_into(self._connection, view)
            except OSError:
                raise WorkerGoneError from None
            if received == 0:
                raise WorkerGoneError
            view = view[received:]
        return buffer


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What a worker needs to find Python and its packages, and none of our secrets; one thread a numeric library."""
    kept = {"PATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME"}
    environment = {name: value for name, value in ours.items() if name in kept}
    environment |= {
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        # Memory of a large picture goes back to the system when it is freed. That of a screenshot stays for the next
        # one, up to 24 MiB a worker: having it zeroed page by page each time takes a fifth of the time.
        "MALLOC_MMAP_THRESHOLD_": "8388608",
        "MALLOC_TRIM_THRESHOLD_": "25165824",
        "MALLOC_ARENA_MAX": "1",
    }
    return environment
