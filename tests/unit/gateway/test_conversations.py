"""Sessions over two gateways, on a virtual clock: no part lost, none answered twice, order kept, everyone answered."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.answer import Answer, Answered, Delta, Event, FinishReason
from kefu_gateway.domain.bursts import Arrival, BurstRules
from kefu_gateway.domain.card import ModelCard
from kefu_gateway.domain.conversations import Conversations, Post
from kefu_gateway.domain.deadline import Deadline
from kefu_gateway.domain.holder import HolderSettings
from kefu_gateway.domain.question import Question
from kefu_gateway.domain.session import Entry, KeptPart, KeptTurn, SessionKey
from kefu_gateway.domain.turn import Claim, Turn
from tests.fakes.memory_store import MemoryStore
from tests.fakes.model import card
from tests.fakes.virtual_time import run_virtually

WINDOW = 0.5
PREFILL = 0.3
DECODE = 0.7
LEASE = 3.0
KEY = SessionKey("", "s")


@dataclass
class Run:
    """One inference that was begun."""

    at: float
    members: tuple[str, ...]
    cancelled: bool = False


@dataclass
class SimMaker:
    """Takes 0.3 s to the first token and 0.7 s to the last; the answer says which requests it is for."""

    store: Any
    runs: list[Run] = field(default_factory=list)
    says: str = "to "

    def arrival(self, entry: Entry) -> Arrival:
        what = json.loads(entry.payload)
        return Arrival(
            request_id=entry.request_id,
            at=entry.arrived_at,
            has_text=what["text"],
            more_to_come=what["more"],
        )

    async def merge(self, key: SessionKey, fence: int, entries: Sequence[Entry]) -> Turn:
        ids = tuple(entry.request_id for entry in entries)
        return Turn(
            question=Question(request_id=ids[-1], parts=()),
            card=ModelCard.parse(card()),
            deadline=Deadline.after(3600),
            language="zh",
            resources=AsyncExitStack(),
            started=0.0,
            claim=Claim(
                key=key,
                fence=fence,
                request_ids=ids,
                parts=tuple(KeptPart(request_id=one, text=one) for one in ids),
            ),
        )

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        assert turn.claim is not None
        run = Run(asyncio.get_running_loop().time(), turn.claim.request_ids)
        self.runs.append(run)
        try:
            await asyncio.sleep(PREFILL)
            turn.first_token_at = asyncio.get_running_loop().time()
            yield Delta(self.says, 1)
            await asyncio.sleep(DECODE)
            answer = Answer(
                request_id=run.members[-1],
                text=self.says + " ".join(run.members),
                finish_reason=FinishReason.STOP,
                model="tiny",
                joined_requests=len(run.members),
            )
            await self._commit(turn.claim, answer)
            yield Answered(answer)
        except (asyncio.CancelledError, GeneratorExit):
            run.cancelled = True
            raise

    async def _commit(self, claim: Claim, answer: Answer) -> None:
        session = await self.store.session(claim.key)
        kept = KeptTurn(
            number=1 if session is None else session.turns + 1,
            chain=1,
            request_ids=claim.request_ids,
            parts=claim.parts,
            answer=answer,
            created_at=0.0,
        )
        await self.store.commit(claim.key, claim.fence, kept, seconds_to_live=3600)


class Mortal:
    """A gateway's way to the store, which ends when the gateway is killed: nothing it wanted afterwards happens."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self._store, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            if self.dead:
                raise KefuError(Reason.STORE_UNAVAILABLE, "this gateway is dead")
            await asyncio.sleep(0)
            return await inner(*arguments, **named)

        return call


class SimGateway:
    """One gateway: its conversations, and posts that take a moment."""

    def __init__(self, name: str, store: MemoryStore, others: dict[str, SimGateway]) -> None:
        loop = asyncio.get_running_loop()
        self.mortal = Mortal(store)
        self.maker = SimMaker(self.mortal)
        self.others = others
        self.lose_posts = False
        others[name] = self
        self.conversations = Conversations(
            store=self.mortal,  # type: ignore[arg-type]
            maker=self.maker,
            courier=self,
            settings=HolderSettings(
                gateway=name, rules=BurstRules(window=WINDOW), lease_seconds=LEASE
            ),
            clock=loop.time,
        )

    def send(self, gateway: str, post: Post) -> None:
        other = self.others.get(gateway)
        if other and not self.lose_posts and not self.mortal.dead and not other.mortal.dead:
            loop = asyncio.get_running_loop()
            loop.call_later(0.001, other.conversations.receive, post)

    async def kill(self) -> None:
        self.mortal.dead = True
        await self.conversations.close()

    def entry(self, name: str, *, text: bool, more: bool = False) -> Entry:
        payload = json.dumps({"text": text, "more": more}).encode()
        return self.conversations.entry(name, hashlib.sha256(payload).hexdigest(), payload)

    async def ask(self, name: str, *, text: bool = True, more: bool = False) -> list[Event]:
        entry = self.entry(name, text=text, more=more)
        events = self.conversations.answer(KEY, entry, Deadline.after(3600))
        return [event async for event in events]


def said(events: list[Event]) -> str:
    answer = events[-1]
    assert isinstance(answer, Answered)
    deltas = "".join(event.text for event in events if isinstance(event, Delta))
    assert answer.answer.text.startswith(deltas), "words of one turn only"
    return answer.answer.text


def test_lone_question_waits_for_nothing_and_lone_picture_for_the_window() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        gateway = SimGateway("a", MemoryStore(loop.time), {})
        start = loop.time()
        assert said(await gateway.ask("q")) == "to q"
        assert gateway.maker.runs[0].at == start
        start = loop.time()
        assert said(await gateway.ask("p", text=False)) == "to p"
        assert gateway.maker.runs[1].at == pytest.approx(start + WINDOW)

    run_virtually(scenario())


def test_part_before_the_first_token_joins_and_the_running_inference_is_cancelled() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        gateway = SimGateway("a", MemoryStore(loop.time), {})
        first = asyncio.create_task(gateway.ask("one"))
        await asyncio.sleep(PREFILL / 2)
        second = asyncio.create_task(gateway.ask("two", text=False))
        assert said(await first) == said(await second) == "to one two"
        assert [(run.members, run.cancelled) for run in gateway.maker.runs] == [
            (("one",), True),
            (("one", "two"), False),
        ]

    run_virtually(scenario())


def test_part_after_the_first_token_is_the_next_turn() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        gateway = SimGateway("a", MemoryStore(loop.time), {})
        first = asyncio.create_task(gateway.ask("one"))
        await asyncio.sleep(PREFILL + DECODE / 2)
        second = asyncio.create_task(gateway.ask("two"))
        assert (said(await first), said(await second)) == ("to one", "to two")
        assert not any(run.cancelled for run in gateway.maker.runs)

    run_virtually(scenario())


def test_caller_who_leaves_takes_the_question_back_and_stops_the_work() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        store = MemoryStore(loop.time)
        gateway = SimGateway("a", store, {})
        leaving = asyncio.create_task(gateway.ask("one"))
        await asyncio.sleep(PREFILL / 2)
        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
        assert said(await gateway.ask("two")) == "to two"
        assert [turn.request_ids for turn in await store.turns(KEY)] == [("two",)]

    run_virtually(scenario())


def test_same_request_twice_is_answered_once_and_another_question_is_refused() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        store = MemoryStore(loop.time)
        others: dict[str, SimGateway] = {}
        a, b = SimGateway("a", store, others), SimGateway("b", store, others)
        first, again = asyncio.create_task(a.ask("one")), asyncio.create_task(b.ask("one"))
        assert said(await first) == said(await again) == "to one"
        later = await b.ask("one")
        assert isinstance(later[-1], Answered)
        assert later[-1].answer.cached
        assert len(await store.turns(KEY)) == 1
        with pytest.raises(KefuError) as caught:
            await a.ask("one", text=False)
        assert caught.value.reason is Reason.REQUEST_ID_CONFLICT

    run_virtually(scenario())


@pytest.mark.parametrize("same", [True, False])
def test_words_of_a_dead_gateway_are_continued_by_the_same_words_alone(same: bool) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        store = MemoryStore(loop.time)
        others: dict[str, SimGateway] = {}
        a, b = SimGateway("a", store, others), SimGateway("b", store, others)
        b.maker.says = "to " if same else "for "
        first = asyncio.create_task(a.ask("one"))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(
            b.ask("two")
        )  # joins; its caller waits at b, the turn runs at a
        await asyncio.sleep(PREFILL + DECODE / 2)
        await a.kill()
        first.cancel()
        if same:
            assert "two" in said(await second)
            return
        with pytest.raises(KefuError) as caught:
            await second
        assert caught.value.reason is Reason.TURN_INTERRUPTED
        assert "two" in said(await b.ask("two"))

    run_virtually(scenario())


def test_a_leaving_gateway_finishes_the_turn_of_anothers_caller_and_hands_the_session_over() -> (
    None
):
    """A rolling restart cut such turns off: the gateway left when its own callers had their answers."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        store = MemoryStore(loop.time)
        others: dict[str, SimGateway] = {}
        a, b = SimGateway("a", store, others), SimGateway("b", store, others)
        first = asyncio.create_task(a.ask("one"))
        await asyncio.sleep(PREFILL + DECODE / 2)
        second = asyncio.create_task(b.ask("two"))  # the next turn; a holds the session
        assert "one" in said(await first)
        third = asyncio.create_task(b.ask("three"))
        await asyncio.sleep(PREFILL + DECODE / 2)
        assert [run.members for run in a.maker.runs] == [("one",), ("two", "three")]
        fourth = asyncio.create_task(b.ask("four"))
        await asyncio.sleep(0.01)
        a.conversations.drain()
        await a.conversations.idle()
        left = loop.time()
        assert "two" in said(await second)
        assert "three" in said(await third)
        assert said(await fourth) == "to four"
        assert [run.members for run in b.maker.runs] == [("four",)]
        assert loop.time() - left < LEASE, "nobody waited for the lease to run out"

    run_virtually(scenario())


@dataclass
class Sent:
    """One part of the scenario."""

    gap: float
    text: bool
    more: bool
    gateway: str


PARTS = st.lists(
    st.builds(
        Sent,
        gap=st.floats(0, 2),
        text=st.booleans(),
        more=st.booleans(),
        gateway=st.sampled_from("ab"),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(parts=PARTS, killed_at=st.none() | st.floats(0, 15), lose_posts=st.booleans())
def test_every_part_is_answered_once_in_order_whatever_dies(
    parts: list[Sent], killed_at: float | None, lose_posts: bool
) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        store = MemoryStore(loop.time)
        gateways: dict[str, SimGateway] = {}
        for name in "ab":
            SimGateway(name, store, gateways).lose_posts = lose_posts
        order: list[str] = []

        async def caller(name: str, part: Sent) -> str:
            """As a real one: when its gateway dies, it asks another with the same request_id."""
            for _ in range(20):
                gateway = gateways[part.gateway]
                if gateway.mortal.dead:
                    gateway = gateways["b"]
                try:
                    return said(await gateway.ask(name, text=part.text, more=part.more))
                except KefuError as error:
                    if error.reason not in {Reason.TURN_INTERRUPTED, Reason.STORE_UNAVAILABLE}:
                        raise
                    await asyncio.sleep(0.2)
            raise AssertionError("never answered")

        async def killer() -> None:
            assert killed_at is not None
            await asyncio.sleep(killed_at)
            await gateways["a"].kill()

        tasks = []
        killing = asyncio.create_task(killer()) if killed_at is not None else None
        for number, part in enumerate(parts):
            await asyncio.sleep(part.gap)
            order.append(str(number))
            tasks.append(asyncio.create_task(caller(str(number), part)))
        answers = await asyncio.gather(*tasks)
        if killing is not None:
            await killing
        turns = await store.turns(KEY, limit=1000)
        kept = [part.request_id for turn in turns for part in turn.parts]
        assert sorted(kept) == sorted(order), "no part is lost, none answered twice"
        if killed_at is None:
            assert kept == order, "order is kept"
        assert [turn.number for turn in turns] == list(range(1, len(turns) + 1))
        by_request = {one: turn.answer.text for turn in turns for one in turn.request_ids}
        assert answers == [by_request[name] for name in order], "every caller has its turn's answer"
        assert all(1 <= len(turn.request_ids) <= 5 for turn in turns)
        for gateway in gateways.values():
            await gateway.conversations.close()

    run_virtually(scenario())
