"""A model that one replica does not have is asked of the next.

    host = AnyReplica(host, clock=time.monotonic)

Behind one name stand several Tritons, which are asked in turn. One that serves other models, but not this one (it is
being loaded again, or cannot be), refuses at once; nothing was done, and the next one may have it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.ports import Inference, ModelHost, TokenChunk

# Where nobody has the model, so many refusals of about a millisecond each.
ATTEMPTS = 3


class AnyReplica:
    """A ModelHost around a ModelHost. `clock` gives seconds."""

    def __init__(self, inner: ModelHost, *, clock: Callable[[], float]) -> None:
        self._inner = inner
        self._clock = clock

    async def infer(
        self, inference: Inference, *, timeout: float
    ) -> AsyncGenerator[TokenChunk, None]:
        until = self._clock() + timeout
        for left in reversed(range(ATTEMPTS)):
            begun = False
            try:
                seconds = until - self._clock()
                async with aclosing(self._inner.infer(inference, timeout=seconds)) as chunks:
                    async for chunk in chunks:
                        begun = True
                        yield chunk
                return
            except KefuError as error:
                if begun or not left or error.reason is not Reason.MODEL_NOT_READY:
                    raise
