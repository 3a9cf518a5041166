"""Who still wants an answer, and what counts as the message that somebody does not."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from callers import Callers, to_cancel


class Tensors:
    """`pb_utils` and a request in one: the two inputs that are looked at."""

    def __init__(self, ids: list[int], sampling: Any) -> None:
        raw = sampling if isinstance(sampling, bytes) else json.dumps(sampling).encode()
        self._inputs = {
            "input_ids": np.array([ids], dtype=np.int32),
            "sampling": np.array([[raw]], dtype=np.object_),
        }

    def get_input_tensor_by_name(self, request: Any, name: str) -> Any:
        self.as_numpy = lambda: self._inputs[name]
        return self


def named(ids: list[int], sampling: Any) -> str | None:
    tensors = Tensors(ids, sampling)
    return to_cancel(tensors, tensors)


def test_only_an_empty_prompt_with_an_id_cancels() -> None:
    assert named([], {"cancel": "abc"}) == "abc"
    assert named([1], {"cancel": "abc"}) is None


@pytest.mark.parametrize("sampling", [{}, [], 7, {"cancel": ""}, {"cancel": 7}, b"{", b"\xff"])
def test_everything_else_is_a_request_and_refused_as_one(sampling: Any) -> None:
    assert named([], sampling) is None


def test_a_stopped_request_is_told_and_a_finished_one_is_unknown() -> None:
    callers = Callers()
    first, second = callers.enter("a"), callers.enter("b")
    assert callers.stop("a")
    assert (first.left, second.left) == (True, False)
    callers.leave(first)
    assert not callers.stop("a")
    callers.leave(first)
    assert callers.stop("b")


def test_requests_without_an_id_cannot_be_named() -> None:
    callers = Callers()
    nameless = callers.enter("")
    assert not callers.stop("")
    callers.leave(nameless)
    assert not nameless.left


def test_one_of_two_with_the_same_id_ends_and_the_other_can_still_be_stopped() -> None:
    callers = Callers()
    first, second = callers.enter("same"), callers.enter("same")
    callers.leave(first)
    assert callers.stop("same")
    assert second.left
