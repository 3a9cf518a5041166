"""Mutated files through a real sidecar: answers or reasons, never INTERNAL. The bench (--what fuzz) sends more."""

from __future__ import annotations

import random
from typing import Any

import grpc
import pytest

from bench.pictures.service import mutated, seed_files
from kefu.preprocess.v1 import preprocess_service_pb2 as pb
from kefu_common.errors import Reason
from kefu_common.status import from_call_error
from kefu_preprocess.app import Sidecar

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALLOWED: set[Reason | str | None] = {
    None,
    Reason.PICTURE_EMPTY,
    Reason.PICTURE_DAMAGED,
    Reason.PICTURE_FORMAT_UNSUPPORTED,
    Reason.PICTURE_TOO_MANY_PIXELS,
}


async def test_three_hundred_mutated_files_each_have_an_answer_or_a_reason(
    stub: Any, sidecar: Sidecar
) -> None:
    seeds = list(seed_files())
    before = sidecar.pool.pids
    answers = 0
    for number in range(300):
        data = mutated(random.Random(number), seeds)
        reason = await _reason(stub, data)
        assert reason in ALLOWED, (number, reason)
        answers += reason is None
    assert 20 < answers < 280
    assert sidecar.pool.pids == before


async def _reason(stub: Any, data: bytes) -> Reason | str | None:
    """None for an answer; a gRPC code where the error is not one of ours."""
    try:
        await stub.Prepare(pb.PrepareRequest(data=data, find_elements=True), timeout=60)
    except grpc.aio.AioRpcError as failed:
        error = from_call_error(failed)
        return str(failed.code()) if error is None else error.reason
    return None


async def test_every_seed_is_a_good_picture(stub: Any) -> None:
    for data in seed_files():
        assert (await stub.Prepare(pb.PrepareRequest(data=data), timeout=60)).data
