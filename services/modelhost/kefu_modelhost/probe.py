"""A real, small inference through the tensor contract: the only proof that a model works.

A dead stub still reports READY, so readiness is never asked for; it is tried.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from kefu_modelhost.card import ModelCard

# A white PNG of 32 × 32 px.
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000200000002001000000005b0147590000000f494441"
    "5478da63f80f040c83970000dae97f8126f2fa630000000049454e44ae426082"
)


class ProbeError(Exception):
    """The model did not answer; the text says how."""


class Probe:
    """Asks one model for one token."""

    def __init__(self, client: InferenceServerClient, card: ModelCard, weights: Path) -> None:
        self._client = client
        self._card = card
        tokenizer = Tokenizer.from_file(str(weights / card.name / card.tokenizer))
        self._ids: list[int] = tokenizer.encode("hi", add_special_tokens=False).ids
        # With the marks around it: some engines look for them, and not for the placeholder.
        self._shown: list[int] = tokenizer.encode(card.shown_as, add_special_tokens=False).ids

    async def ask(self, timeout: float, *, picture: bytes = b"") -> float:
        """Seconds that the answer took; ProbeError when there was none in `timeout` seconds, or an error."""
        began = time.monotonic()
        ids = [*self._shown, *self._ids] if picture else self._ids
        try:
            async with asyncio.timeout(timeout):
                finish = ""
                stream = self._client.stream_infer(
                    _requests(self._card.name, ids, picture), stream_timeout=timeout
                )
                async for result, error in stream:
                    if error is not None:
                        raise ProbeError(f"{self._card.name}: {error.message()}")
                    finish = result.as_numpy("finish_reason").reshape(-1)[0].decode()
                    if finish:
                        break
        except TimeoutError as error:
            raise ProbeError(f"{self._card.name}: no answer in {timeout:g} s") from error
        except (grpc.aio.AioRpcError, InferenceServerException) as error:
            raise ProbeError(f"{self._card.name}: {_words(error)}") from error
        if not finish:
            raise ProbeError(f"{self._card.name}: the answer has no end")
        return time.monotonic() - began


async def _requests(model: str, ids: list[int], picture: bytes) -> AsyncIterator[dict[str, Any]]:
    yield {
        "model_name": model,
        "inputs": contract_inputs(
            ids, [picture] if picture else [], {"max_tokens": 1, "temperature": 0}
        ),
    }


def contract_inputs(
    ids: list[int], pictures: list[bytes], sampling: dict[str, Any]
) -> list[InferInput]:
    """The four input tensors of the contract (DESIGN §5), with the batch dimension."""
    values: dict[str, tuple[str, NDArray[Any]]] = {
        "input_ids": ("INT32", np.array([ids], np.int32)),
        "images": ("UINT8", np.frombuffer(b"".join(pictures), np.uint8).reshape(1, -1)),
        "image_sizes": ("INT32", np.array([[len(p) for p in pictures]], np.int32).reshape(1, -1)),
        "sampling": ("BYTES", np.array([[json.dumps(sampling).encode()]], np.object_)),
    }
    inputs = []
    for name, (kind, array) in values.items():
        tensor = InferInput(name, list(array.shape), kind)
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    return inputs


def _words(error: Exception) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    return str(error)
