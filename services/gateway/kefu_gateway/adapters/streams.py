"""One ModelStreamInfer call a request, and how it ends: a caller who leaves never cancels a call that still answers.

    stream = streams.open(stub, request, stop=cancelling(request), seconds=30.0)
    response = await stream.read(until=loop.time() + 5.0)
    stream.leave()

Triton's gRPC front end crashes, or hangs for good, when a call is cancelled in the moment in which it writes a response
(docs/models.md), whoever cancels: the client, its deadline, a broken connection. So `stop`, a second message, asks the
model to end the request, and the call is read to its end in the background. Where that takes too long, is refused, or
too many end at once, the call is cancelled after all. On the same call, because another one may reach another server.

A task of its own does the reading: grpc.aio cancels a call when the task that reads or writes it is cancelled.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from tritonclient.grpc import service_pb2

from kefu_common.calls import trace_headers

log = structlog.get_logger()

# What read() gives at the end of a stream; grpc-stubs do not know it.
EOF: Any = vars(grpc.aio)["EOF"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndLimits:
    """Seconds that a call may take to end once its caller left, and how many may be ending."""

    seconds: float = 5.0
    most: int = 512


class Streams:
    """All calls of one host."""

    def __init__(self, limits: EndLimits) -> None:
        self.limits = limits
        # Calls whose caller left; and all tasks, because the loop itself keeps none alive.
        self.ending: set[asyncio.Task[None]] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    def open(
        self,
        stub: Any,
        request: service_pb2.ModelInferRequest,
        *,
        stop: service_pb2.ModelInferRequest | None,
        seconds: float,
    ) -> Stream:
        """Sends `request`. `stop`: the message that ends it, None where the model knows none. `seconds`: until the
        caller leaves at the latest; the call itself lives a little longer, so that no deadline cancels it."""
        if stop is not None:
            seconds += self.limits.seconds
        call = stub.ModelStreamInfer(metadata=trace_headers(), timeout=seconds)
        return Stream(self, call, request, stop)

    async def close(self) -> None:
        """Waits for the calls that are ending, as long as they may take. Those of callers who are still there end
        with the channel."""
        if self.ending:
            await asyncio.wait(self.ending, timeout=self.limits.seconds + 1.0)

    def keep(self, task: asyncio.Task[None]) -> None:
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


class Stream:
    """One request and its responses."""

    def __init__(
        self,
        streams: Streams,
        call: Any,
        request: service_pb2.ModelInferRequest,
        stop: service_pb2.ModelInferRequest | None,
    ) -> None:
        self._streams = streams
        self._call = call
        self._id = request.id
        self._stop = stop
        self._sent = asyncio.Event()
        # As long as the answer at most: a caller who reads slowly does not hold up the model.
        self._responses: deque[service_pb2.ModelStreamInferResponse] = deque()
        self._news: asyncio.Future[None] | None = None
        self._error: grpc.aio.AioRpcError | None = None
        # The last response of the request is here; the server's end of the call follows.
        self._answered = False
        self._left = False
        self._loop = asyncio.get_running_loop()
        self._reading = self._loop.create_task(self._run(request))
        streams.keep(self._reading)

    async def read(self, *, until: float) -> Any:
        """The next response, EOF at the end. Raises TimeoutError at `until` (the loop's clock), AioRpcError."""
        while not self._responses:
            if self._reading.done():
                if self._error is not None:
                    raise self._error
                return EOF
            self._news = self._loop.create_future()
            async with asyncio.timeout_at(until):
                await self._news
        return self._responses.popleft()

    async def status(self) -> tuple[grpc.StatusCode, str | None]:
        """How the call ended, after EOF."""
        return await self._call.code(), await self._call.details()

    def leave(self) -> None:
        """Nobody reads any more. Returns at once, and may be called again."""
        if self._left or self._reading.done():
            return
        self._left = True
        self._responses.clear()
        if not self._answered and (
            self._stop is None or len(self._streams.ending) >= self._streams.limits.most
        ):
            self._call.cancel()
            return
        last = self._loop.call_later(self._streams.limits.seconds, self._give_up)
        self._reading.add_done_callback(lambda _: last.cancel())
        self._streams.ending.add(self._reading)
        self._reading.add_done_callback(self._streams.ending.discard)
        if not self._answered and self._stop is not None:
            self._streams.keep(self._loop.create_task(self._ask_to_stop(self._stop)))

    async def _run(self, request: service_pb2.ModelInferRequest) -> None:
        try:
            await self._call.write(request)
            # Up to megabytes of pictures, of no use any more.
            del request
            self._sent.set()
            if self._stop is None:
                await self._call.done_writing()
            while (response := await self._call.read()) is not EOF:
                if self._take(response):
                    await self._call.done_writing()
        except grpc.aio.AioRpcError as error:
            self._error = error
        except asyncio.InvalidStateError:
            # The call ended before the request was sent: `status` says how.
            pass
        finally:
            self._call.cancel()
            self._sent.set()
            self._tell()

    def _take(self, response: service_pb2.ModelStreamInferResponse) -> bool:
        """True where this was the request's last response, and it is for the reader to say that no message follows."""
        answer, refused = response.infer_response, bool(response.error_message)
        if not self._left:
            self._responses.append(response)
            self._tell()
        elif refused and answer.id != self._id and not self._answered:
            # It is the message that was refused: by an older backend, by a full queue, or because another instance of
            # the model has the request.
            log.info("model was not asked to stop", words=response.error_message[:200])
            self._call.cancel()
        last = refused or answer.parameters["triton_final_response"].bool_param
        if self._answered or not last or (answer.id != self._id and not refused):
            return False
        self._answered = True
        return not self._left

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _ask_to_stop(self, message: service_pb2.ModelInferRequest) -> None:
        try:
            await self._sent.wait()
            if not self._answered:
                await self._call.write(message)
            await self._call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            # The call is over: there is nothing to stop.
            pass

    def _give_up(self) -> None:
        log.warning("model did not stop", seconds=self._streams.limits.seconds)
        self._call.cancel()
