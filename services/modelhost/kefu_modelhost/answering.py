"""Asking a server that may die while it is asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import TypeVar

import grpc
from tritonclient.utils import InferenceServerException

from kefu_modelhost.errors import LoadError, ServerLost
from kefu_modelhost.server import TritonServer

T = TypeVar("T")

# A connection ends a moment before the process that held it is gone.
_DEATH_SECONDS = 2.0


class NoAnswerError(LoadError):
    """The time is over, and the server lives."""


async def answering(server: TritonServer, call: Awaitable[T], timeout: float) -> T:
    """The call's result. ServerLost when the server dies meanwhile, LoadError when it refuses, NoAnswerError when it
    takes longer than `timeout` seconds; the call is then cancelled."""
    task = asyncio.ensure_future(call)
    death = asyncio.ensure_future(server.wait())
    try:
        await asyncio.wait({task, death}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return await task
        if death.done():
            raise ended(server)
        raise NoAnswerError(f"no answer from tritonserver in {timeout:g} s")
    except InferenceServerException as error:
        await asyncio.wait({death}, timeout=_DEATH_SECONDS if _broke(error) else 0)
        if death.done():
            raise ended(server) from error
        raise LoadError(f"tritonserver refused: {error.message()}") from error
    except grpc.aio.AioRpcError as error:
        await asyncio.wait({death}, timeout=_DEATH_SECONDS)
        if death.done():
            raise ended(server) from error
        raise LoadError(f"tritonserver: {error.code().name}: {error.details()}") from error
    finally:
        for pending in (task, death):
            pending.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await pending


def ended(server: TritonServer) -> ServerLost:
    """What is known of a server that is gone."""
    return ServerLost(
        f"tritonserver ended with {server.exit_code}: {_last_error(server.log_tail())}"
        f" (log: {server.log_path})"
    )


def _broke(error: InferenceServerException) -> bool:
    """The connection's own end, not an answer of the server."""
    return "UNAVAILABLE" in str(error.status())


def _last_error(tail: str) -> str:
    """The line of the server's log that most likely says why."""
    lines = [line for line in tail.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("E") or "rror" in line]
    return (errors or lines or ["it said nothing"])[-1][:400]
