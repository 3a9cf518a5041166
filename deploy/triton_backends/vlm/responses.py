"""Chunks as Triton's responses, at the least cost: one is made for nearly every token.

Half of the contract's tensors say nothing before the end. Making a tensor, a string's above all, costs more than
sending it, so these are made once; Triton then also finds them in shared memory, where the first response has put
them. Each thread has its own: where a tensor stands there is filled in, without a lock, while it is first sent.
"""

from __future__ import annotations

import threading
from typing import Any

from contract import end_tensors, written_tensors
from engines.base import Chunk
from numpy.typing import NDArray


class Responses:
    """`pb_utils`: Triton's module."""

    def __init__(self, pb_utils: Any) -> None:
        self._pb_utils = pb_utils
        self._kept = threading.local()

    def of(self, chunk: Chunk) -> Any:
        tensors = self._tensors(written_tensors(chunk))
        if chunk.finish_reason or chunk.details is not None or chunk.usage is not None:
            tensors += self._tensors(end_tensors(chunk))
        else:
            tensors += self._silent()
        return self._pb_utils.InferenceResponse(output_tensors=tensors)

    def _silent(self) -> list[Any]:
        kept: list[Any] | None = getattr(self._kept, "tensors", None)
        if kept is None:
            kept = self._kept.tensors = self._tensors(end_tensors(Chunk()))
        return kept

    def _tensors(self, named: list[tuple[str, NDArray[Any]]]) -> list[Any]:
        return [self._pb_utils.Tensor(name, array) for name, array in named]
