"""From the first signal to the last answer: health off, wait for the endpoints to notice, drain, close.

    await run_until_signal(server, begin_drain=health.enter_graceful_shutdown, settle=2.0, drain=30.0)

The first SIGTERM or SIGINT drains; a second one ends the process at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable

import grpc
import structlog

log = structlog.get_logger()

FAREWELL_SECONDS = 0.5


def told_to_end() -> bool:
    """Whether the running task was cancelled. For loops that go on after an error: a client library may take the
    cancellation for a failure of its own, and what drained would then wait for that loop for ever."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def run_until_signal(
    server: grpc.aio.Server,
    *,
    begin_drain: Callable[[], Awaitable[None]],
    stop_admitting: Callable[[], None] = lambda: None,
    idle: Callable[[], Awaitable[None]] | None = None,
    settle: float,
    drain: float,
) -> None:
    """Serves until a signal. `begin_drain` makes health say no; `settle` seconds later (load balancers need that long
    to look) `stop_admitting` refuses what is new; then running calls have `drain` seconds to finish. `idle` returns
    when no work runs any more: streams that stay open without work (a health watch, a live session) are not waited for.
    """
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def on_signal() -> None:
        if stopping.is_set():
            log.warning("second signal: leaving at once")
            os._exit(130)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        await stopping.wait()
        log.info("draining", settle_seconds=settle, drain_seconds=drain)
        await begin_drain()
        await asyncio.sleep(settle)
        stop_admitting()
        if idle is None:
            await server.stop(drain)
        else:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(idle(), drain)
            # The last answers are written, but may still be on their way out.
            await server.stop(FAREWELL_SECONDS)
        log.info("stopped")
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
