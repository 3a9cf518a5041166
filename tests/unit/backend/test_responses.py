"""Every response has the contract's six tensors in its order; what says nothing before the end is made once."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from contract import response_tensors
from engines.base import Chunk, Usage
from responses import Responses

_NAMES = ["token_ids", "text", "logprobs", "finish_reason", "details", "usage"]


@dataclass(eq=False)
class Tensor:
    name: str
    array: Any


class PbUtils:
    """As much of Triton's module as responses are made with."""

    Tensor = Tensor

    @staticmethod
    def InferenceResponse(output_tensors: list[Tensor]) -> list[Tensor]:
        return output_tensors


def _values(response: list[Tensor]) -> list[Any]:
    return [(tensor.name, tensor.array.tolist()) for tensor in response]


def test_a_response_holds_what_the_contract_says() -> None:
    responses = Responses(PbUtils)
    chunks = [
        Chunk(token_ids=(5, 6), text="退款", logprobs=(-0.5, -1.0)),
        Chunk(),
        Chunk(
            token_ids=(7,), text="。", finish_reason="stop", details={"a": 1}, usage=Usage(3, 2, 3)
        ),
    ]
    for chunk in chunks:
        response = responses.of(chunk)
        assert [tensor.name for tensor in response] == _NAMES
        assert _values(response) == [(n, a.tolist()) for n, a in response_tensors(chunk)]


def test_each_thread_has_its_own_of_those_that_are_used_again() -> None:
    """Two threads that send the same tensor for the first time would both write where it stands in shared memory."""
    responses = Responses(PbUtils)
    found: dict[int, list[list[Tensor]]] = {}

    def send(number: int) -> None:
        found[number] = [responses.of(Chunk(text="a"))[3:], responses.of(Chunk(text="b"))[3:]]

    threads = [threading.Thread(target=send, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for first, second in found.values():
        assert all(a is b for a, b in zip(first, second, strict=True))
    assert not {id(t) for t in found[0][0]} & {id(t) for t in found[1][0]}
