"""kill -9 of each process while an answer is on its way: a clear error in time, health that says who is missing, and
service that comes back by itself and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import grpc
import pytest

from kefu.chat.v1 import question_pb2
from kefu_client.errors import KefuCallError
from kefu_modelhost import orphans
from tests.e2e.road import Road, eventually, picture, question
from tools.house import ROOT

pytestmark = [pytest.mark.triton, pytest.mark.asyncio(loop_scope="session")]
SAMPLE = ROOT / "samples/refund.png"
# The caller's own deadline, far behind the moment at which an error must be there.
DEADLINE = 90.0
TOLD_WITHIN = 30.0
BACK_WITHIN = 90.0


def slow(words: str, *, tokens: int = 400) -> question_pb2.Question:
    """A question whose answer takes 20 s: 50 ms a token."""
    return question(f"@echo tokens={tokens} token_ms=50\n{words}", max_tokens=tokens)


async def broken(
    road: Road, asked: question_pb2.Question, strike: Callable[[], object]
) -> KefuCallError:
    """Asks, strikes at the first piece of text, and gives the error that must follow in time."""
    struck = 0.0
    try:
        async with aclosing(road.events(asked, seconds=DEADLINE)) as events:
            async for event in events:
                if event.WhichOneof("event") == "delta" and not struck:
                    struck = time.monotonic()
                    strike()
    except grpc.aio.AioRpcError as failure:
        error = KefuCallError.of(failure)
    else:
        raise AssertionError("the answer was finished by a process that is dead")
    assert struck, f"it failed before its first word: {error}"
    assert time.monotonic() - struck < TOLD_WITHIN, "the caller was left waiting"
    return error


def assert_come_back_later(error: KefuCallError, reason: str) -> None:
    assert error.code is grpc.StatusCode.UNAVAILABLE
    assert error.reason == reason
    assert error.retry_after is not None, (
        "without RetryInfo a caller does not know that it may try again"
    )
    assert error.retry_after > 0
    assert error.request_id


async def assert_model_missing_then_back(road: Road) -> None:
    async def missing() -> bool:
        return not await road.serving("kefu.dependency.model.echo")

    await eventually(missing, "health names the model as missing", seconds=TOLD_WITHIN)
    assert not await road.serving(""), "the whole cannot serve without its model"
    assert await road.serving("kefu.dependency.preprocess"), "the sidecar has nothing to do with it"
    # Callers that ask meanwhile are told at once, not left to their deadlines.
    start = time.monotonic()
    await road.answers(question("still there?"))
    assert time.monotonic() - start < TOLD_WITHIN

    async def back() -> bool:
        return await road.serving("") and await road.answers(question("back again?"))

    await eventually(back, "the model answers again by itself", seconds=BACK_WITHIN)


async def test_triton_killed_in_the_middle_of_an_answer(echo_road: Road) -> None:
    run = echo_road.run()
    status = json.loads((echo_road.house.folder / "triton/status.json").read_text())
    error = await broken(
        echo_road, slow("triton"), lambda: os.kill(status["triton_pid"], signal.SIGKILL)
    )
    assert_come_back_later(error, "MODEL_SERVER_UNAVAILABLE")
    await assert_model_missing_then_back(echo_road)
    assert echo_road.run().id != run.id
    assert not list(orphans.processes(run)), "a stub outlived its server"
    assert not orphans.regions(run), "shared memory of the dead server stayed"


async def test_the_models_process_killed_in_the_middle_of_an_answer(echo_road: Road) -> None:
    run = echo_road.run()
    status = json.loads((echo_road.house.folder / "triton/status.json").read_text())
    stubs = set(orphans.processes(run)) - {status["triton_pid"]}
    assert len(stubs) == 1
    error = await broken(
        echo_road, slow("stub"), lambda: [os.kill(pid, signal.SIGKILL) for pid in stubs]
    )
    assert_come_back_later(error, "MODEL_SERVER_UNAVAILABLE")
    await assert_model_missing_then_back(echo_road)
    now = echo_road.run()
    assert not stubs & set(orphans.processes(now)), "the dead process is still there"
    regions = orphans.regions(now)
    assert len(regions) == 1, f"one living model has one region: {regions}"


async def test_the_sidecar_killed_while_it_prepares_a_picture(echo_road: Road) -> None:
    sidecar = echo_road.house.keeper.kept["preprocess"].pid
    workers = children(sidecar)
    assert workers
    # Stopped, it takes the picture and does not answer: so it is certainly killed in the middle of it.
    os.kill(sidecar, signal.SIGSTOP)
    refused = asyncio.create_task(
        echo_road.refused(question(picture(SAMPLE), "whose?"), seconds=DEADLINE)
    )

    async def under_way() -> bool:
        return (await echo_road.gateway_metrics())["kefu_turns_running"] >= 1

    await eventually(under_way, "the question is on the road", seconds=30)
    os.kill(sidecar, signal.SIGKILL)
    struck = time.monotonic()
    error = await refused
    assert time.monotonic() - struck < TOLD_WITHIN
    assert_come_back_later(error, "PREPROCESS_UNAVAILABLE")

    async def missing() -> bool:
        return not await echo_road.serving("kefu.dependency.preprocess")

    await eventually(missing, "health names the sidecar as missing", seconds=TOLD_WITHIN)
    assert not await echo_road.serving("")
    assert await echo_road.serving("kefu.dependency.model.echo")

    async def back() -> bool:
        return await echo_road.serving("") and await echo_road.answers(
            question(picture(SAMPLE), "and now?")
        )

    await eventually(back, "pictures are prepared again", seconds=BACK_WITHIN)

    async def gone() -> bool:
        return not any(Path(f"/proc/{pid}").exists() for pid in workers)

    await eventually(gone, "the dead sidecar's workers are gone", seconds=30)


async def test_an_answer_under_way_does_not_need_the_sidecar(echo_road: Road) -> None:
    sidecar = echo_road.house.keeper.kept["preprocess"].pid
    struck = False
    text = ""
    asked = slow("words that are already on their way", tokens=40)
    async with aclosing(echo_road.events(asked, seconds=DEADLINE)) as events:
        async for event in events:
            if event.WhichOneof("event") == "delta" and not struck:
                os.kill(sidecar, signal.SIGKILL)
                struck = True
            text += event.delta.text
    assert struck
    assert len(text) == 40

    async def back() -> bool:
        return await echo_road.serving("")

    await eventually(back, "the sidecar is back", seconds=BACK_WITHIN)


def children(pid: int) -> set[int]:
    """Living processes whose parent is `pid`."""
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        found |= {int(child) for child in (task / "children").read_text().split()}
    return found
