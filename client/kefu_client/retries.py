"""When a call may be made again, and how long it may take in all."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import grpc

from kefu_client.errors import KefuCallError

_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)

OnRetry = Callable[[KefuCallError, float], None]


class Retries:
    """One call with its repetitions: at most `attempts` tries inside one deadline, `timeout` seconds from now.

    Only what is safe is tried again: the server said when (RetryInfo) with a code that means "not now". Whether
    something of an answer had already arrived is for the caller of `wait` to know. Every try carries the same request
    id, so that a server that did start is not asked twice.
    """

    def __init__(self, attempts: int, timeout: float, on_retry: OnRetry | None) -> None:
        self._left = attempts - 1
        self._deadline = time.monotonic() + timeout
        self._on_retry = on_retry
        self._cancelled = threading.Event()

    def remaining(self) -> float:
        """Seconds until the deadline; never below 0."""
        return max(0.0, self._deadline - time.monotonic())

    def cancel(self) -> None:
        """Ends a wait that is under way, and all that would follow. Safe from any thread."""
        self._cancelled.set()

    def wait(self, error: KefuCallError) -> None:
        """Waits until the call may be made again; raises `error` when it may not."""
        if error.code not in _AGAIN or error.retry_after is None or self._left <= 0:
            raise error
        # Up to a fifth longer: callers that were refused together must not come back together.
        pause = error.retry_after * random.uniform(1.0, 1.2)  # noqa: S311 - nothing to guess here
        if pause >= self.remaining():
            raise error
        self._left -= 1
        if self._on_retry is not None:
            self._on_retry(error, pause)
        if self._cancelled.wait(pause):
            raise error
