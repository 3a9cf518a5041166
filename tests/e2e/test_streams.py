"""Many callers at once, callers that leave, and a gateway that goes down while it answers."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import aclosing

import grpc
import pytest

from kefu_client.errors import KefuCallError
from kefu_modelhost import orphans
from kefu_modelhost.orphans import Run
from tests.e2e.conftest import QUICK, open_road
from tests.e2e.road import Road, eventually, question

pytestmark = [pytest.mark.triton, pytest.mark.asyncio(loop_scope="session")]
CALLERS = 16


async def test_sixteen_streams_form_batches_and_each_gets_its_own_answer(echo_road: Road) -> None:
    before = await echo_road.triton_metrics()
    # Several waves: whether two requests meet within half a millisecond is chance, over 160 of them it is not.
    for wave in range(10):
        words = [
            f"第{wave}波，第{caller}位客人：{'包裹在哪里？' * (1 + caller % 5)}"
            for caller in range(CALLERS)
        ]
        heard = await asyncio.gather(*(echo_road.hear(question(one)) for one in words))
        assert [one.text for one in heard] == words
        assert [one.answer.text for one in heard] == words
    after = await echo_road.triton_metrics()

    def grown(name: str) -> float:
        sample = f'{name}{{model="echo",version="1"}}'
        return after[sample] - before[sample]

    # The parser writes counters with their suffix, which Triton leaves out.
    inferences = grown("nv_inference_count_total")
    executions = grown("nv_inference_exec_count_total")
    assert inferences >= 10 * CALLERS
    assert executions < 0.9 * inferences, f"{inferences:g} inferences in {executions:g} executions"


async def test_a_caller_who_leaves_stops_the_work(echo_road: Road) -> None:
    # One that would go on for a minute, from which the caller goes away at its first words.
    asked = question("@echo tokens=1200 token_ms=50\na long story", max_tokens=1200)
    before = await cancelled(echo_road)
    async with aclosing(echo_road.events(asked)) as events:
        async for event in events:
            assert event.WhichOneof("event") == "delta"
            break

    async def stopped() -> bool:
        return await cancelled(echo_road) > before

    await eventually(stopped, "the model stopped working on it", seconds=30)

    async def idle() -> bool:
        return (await echo_road.gateway_metrics())["kefu_turns_running"] == 0

    await eventually(idle, "its place in the gateway is free", seconds=30)


async def cancelled(road: Road) -> float:
    return (await road.triton_metrics()).get('kefu_vlm_cancelled_total{model="echo"}', 0.0)


async def test_a_deadline_that_passes_is_told_and_stops_the_work(echo_road: Road) -> None:
    before = await cancelled(echo_road)
    asked = question("@echo tokens=1200 token_ms=50\na long story", max_tokens=1200)
    error = await echo_road.refused(asked, seconds=1.0)
    assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED

    async def stopped() -> bool:
        return await cancelled(echo_road) > before

    await eventually(stopped, "the model stopped working on it", seconds=30)


async def test_sigterm_lets_the_running_answer_finish_and_sends_new_calls_away(
    echo_road: Road,
) -> None:
    gateway = echo_road.house.keeper.kept["gateway"]
    pid, restarts = gateway.pid, gateway.restarts
    told: list[KefuCallError] = []
    text = ""
    asked = question("@echo tokens=100 token_ms=50\nthis answer takes five seconds", max_tokens=100)
    knocking: asyncio.Task[None] | None = None

    async def knock() -> None:
        """New questions over the same connection, until one is sent away."""
        while not told:
            try:
                await echo_road.ask(question("may I come in?"), seconds=60)
            except grpc.aio.AioRpcError as failure:
                told.append(KefuCallError.of(failure))

    async with aclosing(echo_road.events(asked)) as events:
        async for event in events:
            if knocking is None:
                os.kill(pid, signal.SIGTERM)
                knocking = asyncio.create_task(knock())
            text += event.delta.text
            if told:
                assert not await echo_road.serving(""), "health says no while it drains"
    assert len(text) == 100, "the running answer was cut off"
    assert knocking is not None
    await asyncio.wait_for(knocking, 60)
    assert told[0].code is grpc.StatusCode.UNAVAILABLE
    assert told[0].reason == "DRAINING"
    assert told[0].retry_after is not None

    async def back() -> bool:
        return gateway.restarts > restarts and await echo_road.serving("")

    await eventually(back, "a new gateway serves", seconds=90)


async def test_a_house_that_was_shut_leaves_nothing_behind(
    tmp_path_factory: pytest.TempPathFactory, echo_road: Road
) -> None:
    """Not even when its model host was killed and could not clear up: the next one does."""
    assert echo_road.run()  # a neighbour that must not be touched
    async with open_road(tmp_path_factory.mktemp("shut"), "echo", environment=QUICK) as road:
        first = road.run()
        modelhost = road.house.keeper.kept["modelhost"]
        os.kill(modelhost.pid, signal.SIGKILL)

        async def again() -> bool:
            return road.run().id != first.id and await road.answers(question("again?"))

        await eventually(again, "another model host took over", seconds=90)
        assert not list(orphans.processes(first))
        assert not orphans.regions(first)
        pids = [kept.pid for kept in road.house.keeper.kept.values()]
        sockets = road.house.socket.parent
    for run in map(Run, road.runs):
        assert not list(orphans.processes(run)), "a process stayed"
        assert not orphans.regions(run), "shared memory stayed"
    assert not [pid for pid in pids if _alive(pid)]
    assert not sockets.exists()
    assert await echo_road.answers(question("and you?")), "the neighbour was hit"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
