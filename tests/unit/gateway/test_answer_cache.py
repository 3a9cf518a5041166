"""The answer cache: equal questions at temperature 0 are asked once, and nothing else is ever shared."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.answer_cache import AnswerCacheLimits, CachedHost, _key
from kefu_gateway.domain.ports import Inference, Sampling, TokenChunk


class Host:
    """Answers "ab" in two chunks, the second when it is let go on."""

    def __init__(self) -> None:
        self.asked = self.cancelled = 0
        self.go_on = asyncio.Event()
        self.error: KefuError | None = None

    async def infer(
        self, inference: Inference, *, timeout: float
    ) -> AsyncGenerator[TokenChunk, None]:
        self.asked += 1
        try:
            yield TokenChunk(token_ids=[1], text="a", logprobs=[-0.1])
            await self.go_on.wait()
            if self.error is not None:
                raise self.error
            yield TokenChunk(token_ids=[2], text="b", logprobs=[-0.2], finish_reason="stop")
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise


def inference(**changes: object) -> Inference:
    sampling = Sampling(max_tokens=9, temperature=changes.pop("temperature", 0.0), top_p=1.0)
    fields = {
        "model": "m",
        "input_ids": (1, 2),
        "pictures": (b"p",),
        "picture_ids": ("p",),
        "sampling": sampling,
    }
    return Inference(**{**fields, **changes})  # type: ignore[arg-type]


class Desk:
    def __init__(self, seconds: float = 600.0) -> None:
        self.host = Host()
        self.now = 0.0
        self.counts: Counter[str] = Counter()
        self.cache = CachedHost(
            self.host,
            AnswerCacheLimits(seconds=seconds, entries=2),
            clock=lambda: self.now,
            counted=lambda outcome: self.counts.update([outcome]),
        )

    async def ask(self, **changes: object) -> str:
        chunks = [chunk async for chunk in self.cache.infer(inference(**changes), timeout=9)]
        assert chunks[-1].finish_reason == "stop"
        assert sum(len(chunk.token_ids) for chunk in chunks) == 2
        return "".join(chunk.text for chunk in chunks)


async def test_asked_once_then_kept_until_its_time_is_over() -> None:
    desk = Desk()
    desk.host.go_on.set()
    assert await desk.ask() == await desk.ask() == "ab"
    assert desk.host.asked == 1
    desk.now = 600.0
    assert await desk.ask() == "ab"
    assert desk.host.asked == 2
    assert desk.counts == {"miss": 2, "hit": 1}


async def test_those_who_ask_meanwhile_listen_to_the_one_that_runs() -> None:
    desk = Desk()
    asking = [asyncio.create_task(desk.ask()) for _ in range(5)]
    await asyncio.sleep(0)
    desk.host.go_on.set()
    assert set(await asyncio.gather(*asking)) == {"ab"}
    assert desk.host.asked == 1
    assert desk.counts == {"miss": 1, "joined": 4}


async def test_leader_may_leave_and_the_last_one_stops_the_work() -> None:
    desk = Desk()
    async with aclosing(desk.cache.infer(inference(), timeout=9)) as leader:
        assert (await anext(leader)).text == "a"
        async with aclosing(desk.cache.infer(inference(), timeout=9)) as follower:
            assert (await anext(follower)).text == "a"
            await leader.aclose()
            assert desk.host.cancelled == 0
        assert desk.host.cancelled == 1


async def test_failure_is_told_to_all_and_not_kept() -> None:
    desk = Desk()
    desk.host.error = KefuError(Reason.MODEL_SERVER_UNAVAILABLE, "gone")
    desk.host.go_on.set()
    for _ in range(2):
        with pytest.raises(KefuError):
            await desk.ask()
    assert desk.host.asked == 2


@pytest.mark.parametrize(
    "other",
    [
        {"tenant": "b"},
        {"model": "n"},
        {"input_ids": (1, 3)},
        {"picture_ids": ("q",)},
        {"picture_ids": ("p", "")},
        {"sampling": Sampling(max_tokens=8, temperature=0.0, top_p=1.0)},
        {"sampling": Sampling(max_tokens=9, temperature=0.0, top_p=1.0, json_schema="{}")},
    ],
)
async def test_anything_else_is_another_question(other: dict[str, object]) -> None:
    desk = Desk()
    desk.host.go_on.set()
    await desk.ask()
    await desk.ask(**other)
    assert desk.host.asked == 2


@pytest.mark.parametrize(
    ("seconds", "changes"), [(0.0, {}), (600.0, {"temperature": 0.1}), (600.0, {"debug": True})]
)
async def test_off_by_a_setting_and_where_chance_or_debug_is_asked_for(
    seconds: float, changes: dict[str, object]
) -> None:
    desk = Desk(seconds)
    desk.host.go_on.set()
    await desk.ask(**changes)
    await desk.ask(**changes)
    assert desk.host.asked == 2
    assert not desk.counts


async def test_the_oldest_makes_room() -> None:
    desk = Desk()
    desk.host.go_on.set()
    for ids in ((1,), (2,), (3,), (1,)):
        await desk.ask(input_ids=ids)
    assert desk.host.asked == 4


async def test_what_was_asked_last_is_not_the_oldest() -> None:
    desk = Desk()
    desk.host.go_on.set()
    for ids in ((1,), (2,), (1,), (3,), (1,)):
        await desk.ask(input_ids=ids)
    assert desk.counts == {"miss": 3, "hit": 2}


PICTURES = st.lists(st.text(max_size=4), max_size=3)


@given(one=PICTURES, other=PICTURES)
def test_pictures_are_told_apart_wherever_one_ends_and_the_next_begins(
    one: list[str], other: list[str]
) -> None:
    keys = [_key(inference(picture_ids=tuple(pictures))) for pictures in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)
