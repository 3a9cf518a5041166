"""Equal questions at temperature 0 are asked once: while the first runs the others listen, then it is kept a while.

    host = CachedHost(host, AnswerCacheLimits(seconds=600))

A ModelHost around a ModelHost. Equal means the same tenant, model, prompt tokens, prepared pictures and settings: at
temperature 0 the model would say the same again. Tenants never share an entry, not even for equal questions: the time
of an answer would tell one of them what the other asked.
"""

from __future__ import annotations

import asyncio
import hashlib
from array import array
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from kefu_common.errors import KefuError
from kefu_gateway.domain.ports import Inference, ModelHost, TokenChunk


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCacheLimits:
    """`seconds` that an answer is kept (0: the cache is off) and how many are kept."""

    seconds: float = 600.0
    entries: int = 2048


@dataclass(slots=True)
class _Flight:
    """One inference that several may listen to."""

    chunks: list[TokenChunk] = field(default_factory=list)
    done: bool = False
    error: BaseException | None = None
    listeners: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def tell(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class CachedHost:
    """`clock` gives seconds; `counted` is told "hit", "joined" or "miss"."""

    def __init__(
        self,
        inner: ModelHost,
        limits: AnswerCacheLimits,
        *,
        clock: Callable[[], float],
        counted: Callable[[str], None],
    ) -> None:
        self._inner = inner
        self._limits = limits
        self._clock = clock
        self._counted = counted
        self._kept: OrderedDict[bytes, tuple[float, TokenChunk]] = OrderedDict()
        self._flights: dict[bytes, _Flight] = {}

    async def infer(
        self, inference: Inference, *, timeout: float
    ) -> AsyncGenerator[TokenChunk, None]:
        if inference.sampling.temperature > 0 or inference.debug or self._limits.seconds <= 0:
            async with aclosing(self._inner.infer(inference, timeout=timeout)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        key = _key(inference)
        kept = self._find(key)
        if kept is not None:
            self._counted("hit")
            yield kept
            return
        flight = self._flights.get(key)
        self._counted("miss" if flight is None else "joined")
        if flight is None:
            flight = _Flight()
            self._flights[key] = flight
            flight.task = asyncio.create_task(self._fly(key, flight, inference, timeout))
        async with aclosing(self._listen(key, flight)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _listen(self, key: bytes, flight: _Flight) -> AsyncGenerator[TokenChunk, None]:
        flight.listeners += 1
        heard = 0
        try:
            while True:
                while heard < len(flight.chunks):
                    heard += 1
                    yield flight.chunks[heard - 1]
                if flight.error is not None:
                    raise flight.error
                if flight.done:
                    return
                await flight.changed.wait()
        finally:
            flight.listeners -= 1
            if not flight.listeners and not flight.done:
                # The last listener left: nobody wants this answer, and the host must stop working on it.
                self._flights.pop(key, None)
                assert flight.task is not None
                flight.task.cancel()
                await asyncio.gather(flight.task, return_exceptions=True)

    async def _fly(self, key: bytes, flight: _Flight, inference: Inference, timeout: float) -> None:
        try:
            async with aclosing(self._inner.infer(inference, timeout=timeout)) as chunks:
                async for chunk in chunks:
                    flight.chunks.append(chunk)
                    flight.tell()
            self._keep(key, flight.chunks)
        except KefuError as error:
            flight.error = error
        finally:
            flight.done = True
            if self._flights.get(key) is flight:
                del self._flights[key]
            flight.tell()

    def _find(self, key: bytes) -> TokenChunk | None:
        found = self._kept.get(key)
        if found is None:
            return None
        expires, chunk = found
        if expires <= self._clock():
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return chunk

    def _keep(self, key: bytes, chunks: list[TokenChunk]) -> None:
        if not chunks or chunks[-1].finish_reason not in ("stop", "length"):
            return
        whole = replace(
            chunks[-1],
            token_ids=[token for chunk in chunks for token in chunk.token_ids],
            text="".join(chunk.text for chunk in chunks),
            logprobs=[value for chunk in chunks for value in chunk.logprobs],
            cached=True,
        )
        self._kept[key] = (self._clock() + self._limits.seconds, whole)
        while len(self._kept) > self._limits.entries:
            self._kept.popitem(last=False)


def _key(inference: Inference) -> bytes:
    digest = hashlib.sha256()
    # repr of a tuple of strings and numbers tells its items apart, wherever one ends and the next begins.
    head = (
        inference.tenant,
        inference.model,
        inference.sampling,
        tuple(inference.picture_ids),
        len(inference.input_ids),
    )
    digest.update(repr(head).encode())
    digest.update(array("i", inference.input_ids).tobytes())
    return digest.digest()
