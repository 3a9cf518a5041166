"""A Triton that speaks the wire: a gRPC servicer of GRPCInferenceService, driven by a script.

    async with FakeTriton() as triton:
        triton.script = Script(["破", "损"], finish="stop")

It checks what a real one checks (shapes against the raw bytes) and counts what was cancelled, by a message on the same
stream or with the call. As the real one's, a stream is over when the client says that nothing follows. Health probes
(one token, no picture) are answered at once and not counted: a test's script is for its own question. What a fake
cannot know of the real server is covered by tests/e2e, which run against the real one.
"""

from __future__ import annotations

import asyncio
import json
import struct
from array import array
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc


@dataclass(slots=True)
class Seen:
    """One request as the server received it."""

    model: str
    input_ids: list[int]
    pictures: list[bytes]
    sampling: dict[str, Any]


@dataclass(slots=True)
class Script:
    """What the server answers: pieces of text, one token each, then the end."""

    pieces: Sequence[str] = ("ok",)
    finish: str = "stop"
    logprob: float = -0.1
    details: dict[str, Any] = field(default_factory=dict)
    # Sent instead of the rest after this many pieces.
    error_message: str = ""
    error_after: int = 0
    # Wait for `FakeTriton.go_on` after this many pieces: a test decides when the answer continues.
    pause_after: int | None = None
    # End after the pieces without a finish reason.
    vanish: bool = False


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    def __init__(self) -> None:
        self.script = Script()
        self.seen: list[Seen] = []
        self.metadata: list[dict[str, str]] = []
        # By either way; and those that a message stopped.
        self.cancelled = 0
        self.told_to_stop = 0
        # What it does with that message: an older backend, or another instance of the model, refuses it.
        self.on_stop: Literal["stops", "refuses", "ignores"] = "stops"
        # PEM, as shown by whoever asked whether we live.
        self.certificates: set[bytes] = set()
        self.running = 0
        self.go_on = asyncio.Event()
        self.paused = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()
        # Models that the server does not have (yet).
        self.not_loaded: set[str] = set()
        self.address = ""
        self._server: grpc.aio.Server | None = None

    async def __aenter__(self) -> FakeTriton:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def start(
        self, address: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None
    ) -> None:
        """Listens; with the address of an earlier start, as a restarted server would. With `credentials`: TLS."""
        options = [("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)]
        self._server = grpc.aio.server(options=options)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        port = (
            self._server.add_insecure_port(address)
            if credentials is None
            else self._server.add_secure_port(address, credentials)
        )
        self.address = f"127.0.0.1:{port}"
        await self._server.start()

    async def stop(self) -> None:
        """Ends at once, as a killed server does."""
        assert self._server is not None
        await self._server.stop(0)

    async def ServerLive(
        self, request: service_pb2.ServerLiveRequest, context: grpc.aio.ServicerContext
    ) -> service_pb2.ServerLiveResponse:
        self.certificates.update(context.auth_context().get("x509_pem_cert", ()))
        return service_pb2.ServerLiveResponse(live=True)

    async def ModelReady(
        self, request: service_pb2.ModelReadyRequest, context: grpc.aio.ServicerContext
    ) -> service_pb2.ModelReadyResponse:
        return service_pb2.ModelReadyResponse(ready=request.name not in self.not_loaded)

    async def ModelConfig(
        self, request: service_pb2.ModelConfigRequest, context: grpc.aio.ServicerContext
    ) -> service_pb2.ModelConfigResponse:
        # In the words of a Triton that was started as our model host starts it.
        words = "This protocol is restricted, expecting header 'triton-grpc-protocol-kefu-admin'"
        await context.abort(grpc.StatusCode.UNAVAILABLE, words)

    async def ModelStreamInfer(
        self,
        request_iterator: AsyncIterator[service_pb2.ModelInferRequest],
        context: grpc.aio.ServicerContext,
    ) -> AsyncIterator[service_pb2.ModelStreamInferResponse]:
        requests = aiter(request_iterator)
        request = await anext(requests)
        seen = read_request(request)
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        listening = asyncio.create_task(_listen(requests, request.id, told))
        try:
            if seen.model in self.not_loaded:
                words = f"Request for unknown model: '{seen.model}' is not found"
                yield refusal(words, request.id)
            elif seen.sampling["max_tokens"] == 1 and not seen.pictures:
                one = response(
                    token_ids=[1], text="1", logprobs=[0], finish_reason="length", final=True
                )
                one.infer_response.id = request.id
                yield one
            else:
                async for answer in self._answer(seen, told, context):
                    answer.infer_response.id = answer.infer_response.id or request.id
                    yield answer
            await listening
        finally:
            listening.cancel()

    async def _answer(
        self, seen: Seen, told: asyncio.Future[str], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[service_pb2.ModelStreamInferResponse]:
        self.running += 1
        self.idle.clear()
        answers = self._play(self.script)
        step: asyncio.Future[service_pb2.ModelStreamInferResponse] | None = None
        try:
            self.seen.append(seen)
            self.metadata.append({k: str(v) for k, v in context.invocation_metadata() or ()})
            heard = self.on_stop == "ignores"
            while True:
                step = asyncio.ensure_future(anext(answers))
                waiting: set[asyncio.Future[Any]] = {step} if heard else {step, told}
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if told.done() and not heard:
                    heard = True
                    if self.on_stop == "stops":
                        self.cancelled += 1
                        self.told_to_stop += 1
                        yield response(finish_reason="cancelled", final=True)
                        return
                    yield refusal("KEFU[unknown_request]: no such request", told.result())
                try:
                    yield await step
                except StopAsyncIteration:
                    return
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            if step is not None:
                step.cancel()
            self.running -= 1
            if self.running == 0:
                self.idle.set()

    async def _play(self, script: Script) -> AsyncIterator[service_pb2.ModelStreamInferResponse]:
        pieces = list(script.pieces)
        for number, piece in enumerate(pieces):
            if script.error_message and number == script.error_after:
                yield service_pb2.ModelStreamInferResponse(error_message=script.error_message)
                return
            if script.pause_after == number:
                self.paused.set()
                await self.go_on.wait()
            yield response(token_ids=[100 + number], text=piece, logprobs=[script.logprob])
        if script.vanish:
            nothing = service_pb2.ModelInferResponse()
            nothing.parameters["triton_final_response"].bool_param = True
            yield service_pb2.ModelStreamInferResponse(infer_response=nothing)
            return
        usage = [len(self.seen[-1].input_ids), 0, len(pieces)]
        details = json.dumps(script.details) if script.details else ""
        yield response(finish_reason=script.finish, usage=usage, details=details, final=True)


async def _listen(
    requests: AsyncIterator[service_pb2.ModelInferRequest],
    request_id: str,
    told: asyncio.Future[str],
) -> None:
    """Until the client says that nothing follows; `told` becomes the id of the message that cancels the request."""
    async for message in requests:
        read = read_request(message)
        assert (read.input_ids, read.sampling) == ([], {"cancel": request_id})
        told.set_result(message.id)


def read_request(request: service_pb2.ModelInferRequest) -> Seen:
    """Takes the contract's inputs apart and checks that shapes and bytes agree."""
    raw: dict[str, bytes] = {}
    for tensor, content in zip(request.inputs, request.raw_input_contents, strict=True):
        width = {"INT32": 4, "UINT8": 1}.get(tensor.datatype)
        assert tensor.shape[0] == 1, tensor
        if width is not None:
            assert len(content) == tensor.shape[1] * width, tensor
        raw[tensor.name] = content
    assert set(raw) == {"input_ids", "images", "image_sizes", "sampling"}
    ids, sizes = array("i"), array("i")
    ids.frombytes(raw["input_ids"])
    sizes.frombytes(raw["image_sizes"])
    pictures, offset = [], 0
    for size in sizes:
        pictures.append(raw["images"][offset : offset + size])
        offset += size
    assert offset == len(raw["images"])
    (length,) = struct.unpack_from("<I", raw["sampling"])
    sampling = json.loads(raw["sampling"][4 : 4 + length])
    return Seen(request.model_name, list(ids), pictures, sampling)


def refusal(words: str, request_id: str) -> service_pb2.ModelStreamInferResponse:
    message = service_pb2.ModelInferResponse(id=request_id)
    return service_pb2.ModelStreamInferResponse(error_message=words, infer_response=message)


def response(
    *,
    token_ids: Sequence[int] = (),
    text: str = "",
    logprobs: Sequence[float] = (),
    finish_reason: str = "",
    details: str = "",
    usage: Sequence[int] = (0, 0, 0),
    final: bool = False,
) -> service_pb2.ModelStreamInferResponse:
    """One response of the tensor contract."""
    message = service_pb2.ModelInferResponse()
    for name, kind, count, raw in (
        ("token_ids", "INT32", len(token_ids), array("i", token_ids).tobytes()),
        ("text", "BYTES", 1, _bytes(text)),
        ("logprobs", "FP32", len(logprobs), array("f", logprobs).tobytes()),
        ("finish_reason", "BYTES", 1, _bytes(finish_reason)),
        ("details", "BYTES", 1, _bytes(details)),
        ("usage", "INT32", 3, array("i", usage).tobytes()),
    ):
        output = message.outputs.add(name=name, datatype=kind)
        output.shape.extend((1, count))
        message.raw_output_contents.append(raw)
    message.parameters["triton_final_response"].bool_param = final
    return service_pb2.ModelStreamInferResponse(infer_response=message)


def _bytes(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<I", len(data)) + data
