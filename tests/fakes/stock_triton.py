"""A Triton with a model of its own vLLM backend that speaks the wire: that backend's configuration and tensors.

    async with FakeStockTriton(Script(["破", "损"])) as triton: ...

`inputs`: names in the model's configuration; an older backend lacks the `return_…` ones.
"""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.fakes.triton import Script

OLD = ("text_input", "image", "stream", "sampling_parameters", "exclude_input_in_output")
NEW = (
    *OLD,
    "return_finish_reason",
    "return_cumulative_logprob",
    "return_logprobs",
    "return_num_input_tokens",
    "return_num_output_tokens",
)


@dataclass(slots=True)
class Seen:
    """One request as the server received it."""

    text: str
    pictures: list[bytes]
    sampling: dict[str, Any]
    flags: set[str]


@dataclass(slots=True)
class FakeStockTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    script: Script = field(default_factory=Script)
    inputs: Sequence[str] = NEW
    batched: bool = False
    seen: list[Seen] = field(default_factory=list)
    asked_configuration: int = 0
    address: str = ""
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    _server: grpc.aio.Server | None = None

    async def __aenter__(self) -> FakeStockTriton:
        self._server = grpc.aio.server()
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        await self._server.stop(0)

    async def ServerLive(
        self, request: service_pb2.ServerLiveRequest, context: grpc.aio.ServicerContext
    ) -> service_pb2.ServerLiveResponse:
        return service_pb2.ServerLiveResponse(live=True)

    async def ModelReady(
        self, request: service_pb2.ModelReadyRequest, context: grpc.aio.ServicerContext
    ) -> service_pb2.ModelReadyResponse:
        return service_pb2.ModelReadyResponse(ready=True)

    async def ModelConfig(
        self, request: service_pb2.ModelConfigRequest, context: grpc.aio.ServicerContext
    ) -> service_pb2.ModelConfigResponse:
        self.asked_configuration += 1
        response = service_pb2.ModelConfigResponse()
        response.config.name = request.name
        response.config.max_batch_size = 8 if self.batched else 0
        for name in self.inputs:
            response.config.input.add(name=name)
        return response

    async def ModelStreamInfer(
        self,
        request_iterator: AsyncIterator[service_pb2.ModelInferRequest],
        context: grpc.aio.ServicerContext,
    ) -> AsyncIterator[service_pb2.ModelStreamInferResponse]:
        seen = self._read(await anext(aiter(request_iterator)))
        if seen.sampling["max_tokens"] == 1:
            # A health probe; a test's script is for its own question.
            yield self._response("1", "length", seen, last=True)
            return
        self.seen.append(seen)
        try:
            async for response in self._play(seen):
                yield response
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def _play(self, seen: Seen) -> AsyncIterator[service_pb2.ModelStreamInferResponse]:
        for number, piece in enumerate(self.script.pieces):
            if self.script.error_message and number == self.script.error_after:
                yield service_pb2.ModelStreamInferResponse(error_message=self.script.error_message)
                return
            if number == self.script.pause_after:
                await asyncio.Event().wait()
            last = number == len(self.script.pieces) - 1
            yield self._response(piece, self.script.finish if last else "None", seen, last=last)

    def _read(self, request: service_pb2.ModelInferRequest) -> Seen:
        """Takes the inputs apart, and checks names, types and shapes as the server does."""
        head = [1] if self.batched else []
        raw: dict[str, bytes] = {}
        for tensor, content in zip(request.inputs, request.raw_input_contents, strict=True):
            assert tensor.name in self.inputs, tensor.name
            assert list(tensor.shape[:-1]) == head, tensor
            assert tensor.datatype == (
                "BYTES" if tensor.name in ("text_input", "image", "sampling_parameters") else "BOOL"
            )
            raw[tensor.name] = content
        flags = {name for name, content in raw.items() if content == b"\1"}
        return Seen(
            text=_strings(raw["text_input"])[0].decode(),
            pictures=[base64.b64decode(s, validate=True) for s in _strings(raw.get("image", b""))],
            sampling=json.loads(_strings(raw["sampling_parameters"])[0]),
            flags=flags,
        )

    def _response(
        self, text: str, finish: str, seen: Seen, *, last: bool
    ) -> service_pb2.ModelStreamInferResponse:
        message = service_pb2.ModelInferResponse()
        told = {"text_output": _bytes(text.encode())}
        if "return_finish_reason" in seen.flags:
            told["finish_reason"] = _bytes(finish.encode())
        if "return_logprobs" in seen.flags:
            one = {"77": {"logprob": self.script.logprob, "rank": 1, "decoded_token": text}}
            told["logprobs"] = _bytes(json.dumps([one]).encode())
        if "return_num_input_tokens" in seen.flags:
            told["num_input_tokens"] = struct.pack("<I", 100)
        if "return_num_output_tokens" in seen.flags:
            told["num_output_tokens"] = struct.pack("<I", 1)
        for name, content in told.items():
            message.outputs.add(name=name).shape.append(1)
            message.raw_output_contents.append(content)
        message.parameters["triton_final_response"].bool_param = last
        return service_pb2.ModelStreamInferResponse(infer_response=message)


def _strings(raw: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(raw):
        (length,) = struct.unpack_from("<I", raw, at)
        found.append(raw[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def _bytes(value: bytes) -> bytes:
    return struct.pack("<I", len(value)) + value
