"""Which tensors a model speaks, as its configuration says: our own backend's, or those of Triton's vLLM backend.

dialects = Dialects({"qwen": StockTensors(card, prompts)}, contract=ContractDialect())
dialect = await dialects.of("qwen", stub)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import grpc
import structlog
from tritonclient.grpc import service_pb2

from kefu_common.errors import KefuError
from kefu_common.single_flight import SingleFlight
from kefu_gateway.domain.ports import Inference, TokenChunk

log = structlog.get_logger()

_ASK_SECONDS = 3.0
# Inputs that tell the two apart (triton-inference-server/vllm_backend, src/model.py).
_STOCK = frozenset({"text_input", "sampling_parameters"})


class Reader(Protocol):
    """Reads the responses of one request, in order."""

    def read(self, response: service_pb2.ModelInferResponse) -> TokenChunk | None:
        """What it brings; None for one that only says that it is the last."""
        ...


class Dialect(Protocol):
    """How a request is put into tensors, and an answer taken out of them."""

    def request(self, inference: Inference) -> service_pb2.ModelInferRequest: ...

    def stop(self, request: service_pb2.ModelInferRequest) -> service_pb2.ModelInferRequest | None:
        """The message that ends a request of the same stream; None where only the call itself can be cancelled."""
        ...

    def reader(self, inference: Inference) -> Reader: ...

    def error(self, words: str) -> KefuError | None:
        """What the model's own words mean; None where they are Triton's."""
        ...


class Shape:
    """What a model's configuration says of its tensors: names of inputs, and whether they have a batch dimension."""

    def __init__(self, inputs: frozenset[str], *, batched: bool) -> None:
        self.inputs = inputs
        self.batched = batched


class StockModel(Protocol):
    """Makes the dialect of a model once its configuration is known."""

    def speaking(self, shape: Shape) -> Dialect: ...


class Dialects:
    """Asks each model's configuration once. A server that does not tell has our own backend: it is closed to that."""

    def __init__(self, stock: Mapping[str, StockModel], *, contract: Dialect) -> None:
        """`stock`: for each model by name what speaks to it where it turns out to be one of Triton's vLLM backend."""
        self._stock = stock
        self._contract = contract
        self._known: dict[str, Dialect] = {}
        self._asking: SingleFlight[str, Dialect] = SingleFlight()

    async def of(self, model: str, stub: Any) -> Dialect:
        """Never raises: where the server cannot be asked now, the request itself will say why."""
        known = self._known.get(model)
        if known is not None:
            return known
        if model not in self._stock:
            return self._contract
        # The first question and the first health probe come together.
        here = self._known
        dialect, _ = await self._asking.do(model, lambda: self._ask(model, stub, here))
        return dialect

    async def _ask(self, model: str, stub: Any, known: dict[str, Dialect]) -> Dialect:
        request = service_pb2.ModelConfigRequest(name=model)
        try:
            response = await stub.ModelConfig(request, timeout=_ASK_SECONDS)
        except grpc.aio.AioRpcError as error:
            closed = "restricted" in (error.details() or "")
            if closed or error.code() is grpc.StatusCode.UNIMPLEMENTED:
                # Our own model host: its administration wants a key, and its models speak the contract.
                known[model] = self._contract
            return self._contract
        config = response.config
        shape = Shape(
            frozenset(one.name for one in config.input), batched=config.max_batch_size > 0
        )
        stock = shape.inputs >= _STOCK
        log.info("model speaks", model=model, dialect="vllm_backend" if stock else "contract")
        dialect = self._stock[model].speaking(shape) if stock else self._contract
        known[model] = dialect
        return dialect

    def forget(self) -> None:
        """The server may be another one now: what is still being asked of the old one is not kept."""
        self._known = {}
        self._asking = SingleFlight()
