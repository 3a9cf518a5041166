"""The model host: Triton's gRPC protocol (KServe v2 plus ModelStreamInfer) and the tensor contract of every VLM.

A model of Triton's own vLLM backend speaks other tensors (`dialects.py`, `stock.py`); all else is the same.

    host = TritonHost(channel, StallLimits())
    async with aclosing(host.infer(inference, timeout=30.0)) as chunks: ...

The requests are built from the protocol's own messages: tritonclient's tensors cost a numpy round trip for each field,
and its stream keeps a queue that hides cancellation. One stream a request (`streams.py`), so that each ends by itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import struct
import time
import uuid
from array import array
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from tritonclient.grpc import service_pb2, service_pb2_grpc

from kefu_common.errors import KefuError, Reason
from kefu_gateway.adapters.dialects import Dialects
from kefu_gateway.adapters.streams import EOF, EndLimits, Stream, Streams
from kefu_gateway.domain.ports import Inference, TokenChunk

log = structlog.get_logger()

# The vlm backend begins its own errors with a word in brackets; the sentence behind it is for our log only.
_BACKEND_ERROR = re.compile(r"KEFU\[([a-z_]+)\]")
# Those that are not here speak of a tensor that we built: our fault, INTERNAL.
_BACKEND_REASONS: Mapping[str, Reason] = {
    "prompt_too_long": Reason.PROMPT_TOO_LONG,
    # Even alone: what helps the caller is the same, less text or fewer pictures.
    "out_of_memory": Reason.PROMPT_TOO_LONG,
    "bad_schema": Reason.SCHEMA_INVALID,
    "shutting_down": Reason.MODEL_NOT_READY,
    "engine_failed": Reason.MODEL_SERVER_UNAVAILABLE,
}
# Triton's own words where the model, not the request, is at fault. There is no code for these: they come as text.
_MODEL_GONE = re.compile(
    r"unknown model|is not ready|no available versions|unloaded|not found", re.IGNORECASE
)
_SERVER_GONE = re.compile(
    r"stub process|is not healthy|shutting down|server exiting|failed to receive|broken",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StallLimits:
    """Seconds without any token after which the host is taken for dead, before the first token and after it."""

    first_token: float = 60.0
    next_token: float = 20.0


class TritonHost:
    """Speaks the tensor contract over one channel."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        stall: StallLimits,
        *,
        prober: TritonHost | None = None,
        dialects: Dialects | None = None,
        end: EndLimits | None = None,
    ) -> None:
        """`prober` asks what `probe` asks. `dialects`: which tensors each model speaks; none: the contract's. `end`:
        how answers that nobody wants any more may end."""
        self._dialects = dialects or Dialects({}, contract=ContractDialect())
        self._prober = prober or self
        self._stall = stall
        self._last_token: dict[str, float] = {}
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        self._streams = Streams(end or EndLimits())

    async def close(self) -> None:
        """Before the channel: waits, a few seconds at most, until the model stopped what nobody wants any more."""
        await self._streams.close()
        if self._prober is not self:
            await self._prober.close()

    def use(self, channel: grpc.aio.Channel) -> None:
        """From now on asks over this channel; what runs stays on the old one."""
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        self._dialects.forget()
        if self._prober is not self:
            self._prober.use(channel)

    async def infer(
        self, inference: Inference, *, timeout: float
    ) -> AsyncGenerator[TokenChunk, None]:
        dialect = await self._dialects.of(inference.model, self._stub)
        request, reader = dialect.request(inference), dialect.reader(inference)
        # Nobody else can name it, and so nobody else can stop it.
        request.id = uuid.uuid4().hex
        stop = dialect.stop(request)
        deadline = asyncio.get_running_loop().time() + timeout
        stream = self._streams.open(self._stub, request, stop=stop, seconds=timeout)
        try:
            started = finished = False
            # A model that can be stopped is also told that all is said: its last word need not be waited for.
            while not (finished and stop is not None):
                response = await self._next(stream, inference.model, started, deadline)
                if response is EOF:
                    break
                if response.error_message:
                    words = response.error_message
                    raise dialect.error(words) or _host_error(words, inference.model)
                chunk = reader.read(response.infer_response)
                if chunk is None:
                    continue
                started = True
                self._last_token[inference.model] = time.monotonic()
                finished = finished or bool(chunk.finish_reason)
                yield chunk
            if not finished:
                # A stream that ends cleanly but says no reason lost its answer: never pass that off as whole.
                code, details = await stream.status()
                if code is not grpc.StatusCode.OK:
                    raise _call_error(code, details)
                raise _gone("the model server ended the answer without finishing it")
        except TimeoutError:
            log.warning("model stalled", model=inference.model, started=started)
            raise _gone("the model server sends no tokens any more") from None
        except grpc.aio.AioRpcError as error:
            raise _call_error(error.code(), error.details()) from None
        finally:
            stream.leave()

    async def _next(self, stream: Stream, model: str, started: bool, deadline: float) -> Any:
        """The next response. Raises TimeoutError when the model stalls, KefuError at the deadline.

        Before the first token it stalls when neither this request nor any other of the model had one for so long:
        behind a long queue a request waits, and that is not a stall.
        """
        now = asyncio.get_running_loop().time
        limit = self._stall.next_token if started else self._stall.first_token
        while True:
            try:
                if now() < deadline:
                    return await stream.read(until=min(deadline, now() + limit))
            except TimeoutError:
                last = self._last_token.get(model, -limit)
                if now() < deadline and (started or time.monotonic() - last >= limit):
                    raise
            if now() >= deadline:
                raise _call_error(grpc.StatusCode.DEADLINE_EXCEEDED, None)

    async def alive(self) -> None:
        """Returns where the server itself answers, whatever its models do. Raises grpc.aio.AioRpcError."""
        await self._stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=2.0)

    async def ready(self, model: str) -> bool:
        """Whether the server has the model loaded; that it answers is another matter. Raises grpc.aio.AioRpcError."""
        request = service_pb2.ModelReadyRequest(name=model)
        return bool((await self._stub.ModelReady(request, timeout=2.0)).ready)

    async def probe(self, inference: Inference, *, fresh: float, timeout: float) -> None:
        """Makes sure that the model answers: by tokens that came within `fresh` seconds, else by asking `inference`.

        A dead stub still reports READY, so only a real inference counts; and a busy model must not be asked again
        just to see that it is busy. Raises KefuError or TimeoutError.
        """
        last = self._last_token.get(inference.model)
        if last is not None and time.monotonic() - last < fresh:
            return
        # A host of its own, so that a probe's token is not taken for progress of the requests that wait.
        async with aclosing(self._prober.infer(inference, timeout=timeout)) as chunks:
            async for _ in chunks:
                pass


class ContractDialect:
    """The tensors of our own backend, and its own errors; see `dialects.Dialect`."""

    def request(self, inference: Inference) -> service_pb2.ModelInferRequest:
        return build_request(inference)

    def reader(self, inference: Inference) -> ContractDialect:
        return self

    def stop(self, request: service_pb2.ModelInferRequest) -> service_pb2.ModelInferRequest | None:
        return build_stop(request)

    def read(self, response: service_pb2.ModelInferResponse) -> TokenChunk | None:
        return read_response(response)

    def error(self, words: str) -> KefuError | None:
        return None


def build_request(inference: Inference) -> service_pb2.ModelInferRequest:
    """The contract's four inputs as raw tensors of a batch of one."""
    sizes = array("i", [len(picture) for picture in inference.pictures])
    ids = array("i", inference.input_ids)
    images = b"".join(inference.pictures)
    request = service_pb2.ModelInferRequest(model_name=inference.model)
    # Without it a decoupled model's last response may come empty-handed, and the end is only the stream's end.
    request.parameters["triton_enable_empty_final_response"].bool_param = True
    _fill(request, ids, images, sizes, sampling_json(inference))
    return request


def build_stop(request: service_pb2.ModelInferRequest) -> service_pb2.ModelInferRequest:
    """The message that ends `request`, which has an id: the same inputs, none of them with anything but the last."""
    stop = service_pb2.ModelInferRequest(model_name=request.model_name, id=f"{request.id}/cancel")
    _fill(stop, array("i"), b"", array("i"), json.dumps({"cancel": request.id}).encode())
    return stop


def _fill(
    request: service_pb2.ModelInferRequest,
    ids: array[int],
    images: bytes,
    sizes: array[int],
    sampling: bytes,
) -> None:
    for name, kind, count, raw in (
        ("input_ids", "INT32", len(ids), ids.tobytes()),
        ("images", "UINT8", len(images), images),
        ("image_sizes", "INT32", len(sizes), sizes.tobytes()),
        ("sampling", "BYTES", 1, _bytes_tensor(sampling)),
    ):
        tensor = request.inputs.add(name=name, datatype=kind)
        tensor.shape.extend((1, count))
        request.raw_input_contents.append(raw)


def sampling_json(inference: Inference) -> bytes:
    """The `sampling` tensor's JSON; absent keys mean "none"."""
    sampling = inference.sampling
    settings: dict[str, Any] = {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "logprobs": True,
    }
    settings |= sampling.extras.settings()
    if sampling.seed is not None:
        settings["seed"] = sampling.seed
    if sampling.stop:
        settings["stop"] = list(sampling.stop)
    if sampling.json_schema:
        settings["json_schema"] = json.loads(sampling.json_schema)
    if inference.debug:
        settings["debug"] = True
    if not inference.streamed:
        settings["stream"] = False
    if inference.tenant:
        # Not the name itself: the model host needs to tell tenants apart, and not to know them.
        settings["cache_scope"] = hashlib.sha256(inference.tenant.encode()).hexdigest()[:32]
    return json.dumps(settings, ensure_ascii=False, separators=(",", ":")).encode()


def read_response(response: service_pb2.ModelInferResponse) -> TokenChunk | None:
    """The contract's six outputs; None for the empty response that only says FINAL."""
    raw = {
        output.name: content
        for output, content in zip(response.outputs, response.raw_output_contents, strict=False)
    }
    if not raw:
        return None
    ids, logprobs, usage = array("i"), array("f"), array("i")
    ids.frombytes(raw.get("token_ids", b""))
    logprobs.frombytes(raw.get("logprobs", b""))
    usage.frombytes(raw.get("usage", b""))
    details = _bytes_value(raw.get("details", b""))
    return TokenChunk(
        token_ids=ids,
        text=_bytes_value(raw.get("text", b"")).decode(),
        logprobs=logprobs,
        finish_reason=_bytes_value(raw.get("finish_reason", b"")).decode(),
        details=json.loads(details) if details else {},
        usage=(usage[0], usage[1], usage[2]) if len(usage) == 3 else (0, 0, 0),
    )


def _bytes_tensor(value: bytes) -> bytes:
    """A BYTES tensor of one element: its length as 4 little-endian bytes, then itself (KServe v2, binary data)."""
    return struct.pack("<I", len(value)) + value


def _bytes_value(raw: bytes) -> bytes:
    return raw[4 : 4 + struct.unpack_from("<I", raw)[0]] if len(raw) >= 4 else b""


def _host_error(message: str, model: str) -> KefuError:
    """What Triton or the backend said in a response, as one of our reasons. Its words go to the log only."""
    found = _BACKEND_ERROR.search(message)
    # The backend's sentence may quote the request; the server's own speak of itself.
    words = found[0] if found is not None else message[:500]
    log.warning("model server refused", model=model, words=words)
    if found is not None:
        reason = _BACKEND_REASONS.get(found[1], Reason.INTERNAL)
        return KefuError(reason, _SENTENCES.get(reason, "something went wrong on our side"))
    if _SERVER_GONE.search(message):
        return _gone("the model broke off")
    if _MODEL_GONE.search(message):
        return KefuError(
            Reason.MODEL_NOT_READY, "the model is loading or being reloaded", model=model
        )
    return KefuError(Reason.INTERNAL, "something went wrong on our side")


_SENTENCES: Mapping[Reason, str] = {
    Reason.PROMPT_TOO_LONG: "the question is longer than the model's context, or than its memory",
    Reason.SCHEMA_INVALID: "the model host cannot enforce this JSON schema",
    Reason.MODEL_NOT_READY: "the model is loading or being reloaded",
    Reason.MODEL_SERVER_UNAVAILABLE: "the model broke off",
}


def _call_error(code: grpc.StatusCode, words: str | None) -> KefuError:
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return KefuError(
            Reason.DEADLINE_EXCEEDED, "the deadline passed while the model answered", stage="infer"
        )
    log.warning("model server call failed", code=code.name, words=(words or "")[:500])
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return _gone("the model server does not answer")
    if code is grpc.StatusCode.NOT_FOUND:
        return KefuError(Reason.MODEL_NOT_READY, _SENTENCES[Reason.MODEL_NOT_READY])
    return KefuError(Reason.INTERNAL, "something went wrong on our side")


def _gone(sentence: str) -> KefuError:
    return KefuError(Reason.MODEL_SERVER_UNAVAILABLE, sentence, dependency="triton")
