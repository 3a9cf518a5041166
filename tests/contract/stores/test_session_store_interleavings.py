"""Two gateways, two sessions, and whatever can happen in any order: every store does what the model does.

Leases run out at any moment, holders go on with old fences and with what they saw long ago, requests come twice, are
withdrawn and fail, sessions are deleted and outlive their time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kefu_gateway.domain.session import Failure, LeaseLost, SessionKey, SessionStore
from tests.contract.stores.builders import Clock, entry, sha, turn
from tests.contract.stores.conftest import UNANSWERED_S, Place
from tests.contract.stores.model import ModelSessions

KEYS = [SessionKey("acme", "s-1"), SessionKey("acme", "s-2")]
REQUESTS = [f"r-{number}" for number in range(3)]
HASHES = [sha("a"), sha("b"), sha("c")]
FAILURE = Failure(reason="OVERLOADED", message="busy")
LEASE_S = 10.0

gateway = st.integers(0, 1)
request = st.sampled_from(REQUESTS)
hashes = st.lists(st.sampled_from(HASHES), max_size=2)
step = st.one_of(
    st.tuples(
        st.just("submit"), gateway, request, st.sampled_from(["f-1", "f-1", "f-2"]), st.booleans()
    ),
    st.tuples(st.just("submit"), gateway, request, st.just("f-1"), st.just(True)),
    st.tuples(st.just("acquire"), gateway),
    st.tuples(st.just("renew"), gateway),
    st.tuples(st.just("release"), gateway),
    st.tuples(st.just("look"), gateway),
    st.tuples(st.just("commit"), gateway, st.integers(1, 3), st.integers(-1, 1), hashes),
    st.tuples(st.just("serve"), gateway, st.integers(1, 3), st.integers(0, 1), hashes),
    st.tuples(st.just("serve"), gateway, st.integers(1, 3), st.just(0), hashes),
    st.tuples(st.just("one-off"), gateway),
    st.tuples(st.just("fail"), gateway),
    st.tuples(st.just("withdraw"), gateway, request),
    st.tuples(st.just("pictures"), gateway, hashes),
    st.tuples(st.just("advance"), st.sampled_from([1.0, 6.0, 11.0, 150.0, UNANSWERED_S + 1])),
    st.tuples(st.just("delete"), gateway),
    st.tuples(st.just("expire"), gateway),
)
steps = st.lists(st.tuples(st.sampled_from([0, 0, 0, 1]), step), min_size=5, max_size=60)


class Gateway:
    """What one gateway believes of one session: its fence, and what it saw when it last looked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fence = 0
        self.model_fence = 0
        self.saw: list[str] = []
        self.number = 1
        self.chain = 1


class Run:
    """A store and the model, given the same steps."""

    def __init__(self, stores: list[SessionStore], model: ModelSessions, clock: Clock) -> None:
        self.stores = stores
        self.model = model
        self.clock = clock
        self.gateways = {
            (key, number): Gateway(f"g-{number}") for key in KEYS for number in range(2)
        }
        self.fences: dict[SessionKey, list[int]] = {key: [0] for key in KEYS}

    async def do(self, key: SessionKey, name: str, which: int, *rest: Any) -> None:
        here, store, model = self.gateways[key, which], self.stores[which], self.model
        match name, *rest:
            case "submit", request_id, fingerprint, ask:
                lease = LEASE_S if ask else 0.0
                sent = entry(
                    request_id, fingerprint=fingerprint, gateway=here.name, at=self.clock()
                )
                got = await store.submit(key, sent, holder=here.name, lease_seconds=lease)
                state, outcome, fence, holder = model.submit(key, sent, here.name, lease)
                assert (got.state, got.outcome, got.holder) == (state, outcome, holder)
                self._note_fence(key, here, got.fence, fence)
            case ("acquire",):
                self._note_fence(
                    key,
                    here,
                    await store.acquire(key, holder=here.name, lease_seconds=LEASE_S),
                    model.acquire(key, here.name, LEASE_S),
                )
            case ("renew",):
                renewed = await store.renew(key, here.fence, lease_seconds=LEASE_S)
                assert renewed == model.renew(key, here.model_fence, LEASE_S)
            case ("release",):
                released = await store.release(key, here.fence)
                assert released == model.release(key, here.model_fence)
            case ("look",):
                here.saw = [one.request_id for one in await store.pending(key)]
                session = await store.session(key)
                here.number = session.turns + 1 if session else 1
                here.chain = session.chain if session else 1
            case "commit", count, later, pictures:
                await self._commit(key, which, here.saw[:count], later, tuple(pictures), True)
            case "serve", *how:  # as a holder does when nothing comes between
                await self.do(key, "acquire", which)
                await self.do(key, "look", which)
                await self.do(key, "commit", which, *how)
            case ("one-off",):
                await self._commit(key, which, here.saw[:1], 0, (), False)
            case ("fail",):
                await self._same(
                    store.fail(key, here.fence, here.saw[:2], FAILURE),
                    lambda: model.fail(key, here.model_fence, here.saw[:2], FAILURE),
                )
            case "withdraw", request_id:
                assert await store.withdraw(key, request_id) == model.withdraw(key, request_id)
            case "pictures", noted:
                if noted:
                    await store.use_pictures(key, noted)
                    model.use_pictures(key, noted)
            case ("delete",):
                assert set(await store.delete(key)) == model.delete(key)
            case ("expire",):
                expired = await store.expire()
                assert {sha256 for tenant, sha256 in expired if tenant == "acme"} == model.expire()

    async def _commit(
        self,
        key: SessionKey,
        which: int,
        request_ids: list[str],
        later: int,
        pictures: tuple[str, ...],
        keep: bool,
    ) -> None:
        here = self.gateways[key, which]
        if not request_ids:
            return
        made = turn(
            here.number,
            chain=max(1, here.chain + later),
            request_ids=tuple(request_ids),
            pictures=pictures,
            text=here.name,
            created_at=self.clock(),
        )
        store = self.stores[which]
        await self._same(
            store.commit(key, here.fence, made, seconds_to_live=100, keep_turn=keep),
            lambda: self.model.commit(key, here.model_fence, made, 100, keep),
        )

    def _note_fence(
        self, key: SessionKey, here: Gateway, fence: int | None, expected: int | None
    ) -> None:
        assert (fence is None) == (expected is None)
        if fence is None or expected is None:
            return
        assert (fence == here.fence) == (expected == here.model_fence)
        if expected != here.model_fence:
            assert fence > max(self.fences[key]), "a fence is larger than every one before it"
            self.fences[key].append(fence)
        here.fence, here.model_fence = fence, expected

    async def _same(self, done: Any, expected: Any) -> None:
        """Both succeed, or both fail in the same way."""
        failed: type[BaseException] | None = None
        try:
            expected()
        except (LeaseLost, ValueError) as error:
            failed = type(error)
        if failed is None:
            await done
        else:
            with pytest.raises(failed):
                await done

    async def check(self) -> None:
        """Everything that can be seen is the same, and what must never be is not."""
        for key in KEYS:
            store = self.stores[0]
            assert await store.pending(key) == self.model.pending(key)
            assert await store.session(key) == self.model.session(key)
            turns = await store.turns(key)
            assert turns == self.model.turns(key)
            assert [one.number for one in turns] == list(range(1, len(turns) + 1))
            answered = [request_id for one in turns for request_id in one.request_ids]
            assert len(answered) == len(set(answered)), "answered twice"
            for request_id in REQUESTS:
                assert await store.outcome(key, request_id) == self.model.outcome(key, request_id)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(script=steps)
def test_every_store_does_what_the_model_does(
    runner: asyncio.Runner, place: Place, script: list[tuple[int, Any]]
) -> None:
    async def run() -> None:
        clock = place.clock
        model = ModelSessions(clock, UNANSWERED_S)
        async with place.open() as one, place.open() as two:
            for key in KEYS:
                await one.delete(key)
            # What an earlier example left in the index of sessions.
            clock.advance(10 * UNANSWERED_S)
            await one.expire()
            playing = Run([one, two], model, clock)
            for which, (name, *rest) in script:
                if name == "advance":
                    clock.advance(*rest)
                else:
                    await playing.do(KEYS[which], name, *rest)
                await playing.check()

    runner.run(run())


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(order=st.permutations(range(24)), lost=st.lists(st.booleans(), min_size=24, max_size=24))
def test_nothing_is_lost_or_answered_twice_when_gateways_race(
    runner: asyncio.Runner, place: Place, order: list[int], lost: list[bool]
) -> None:
    """Four workers on two gateways answer one session at once; whenever `lost` says so, a holder stalls until its
    lease is another's, and goes on as if nothing had happened."""
    key = SessionKey("acme", f"race-{place.clock():.0f}-{hash(tuple(order))}")

    async def work(store: SessionStore, name: str, stalls: Iterator[bool]) -> None:
        for number in order[int(name[-1]) :: 4]:
            await store.submit(key, entry(f"r-{number}"), holder=name, lease_seconds=0)
        while len(answered) < 24:
            fence = await store.acquire(key, holder=name, lease_seconds=LEASE_S)
            if fence is None:
                place.clock.advance(1)  # a stalled holder's lease runs out while others try
                await asyncio.sleep(0)
                continue
            waiting = await store.pending(key)
            session = await store.session(key)
            if not waiting:
                if await store.release(key, fence):
                    answered.update(await done(store))
                await asyncio.sleep(0)
                continue
            if next(stalls, False):
                place.clock.advance(LEASE_S + 1)
            taken = tuple(one.request_id for one in waiting[:3])
            made = turn(session.turns + 1 if session else 1, request_ids=taken, text=name)
            try:
                await store.commit(key, fence, made, seconds_to_live=1e6)
            except (LeaseLost, ValueError):
                refused.append(name)

    async def done(store: SessionStore) -> set[str]:
        turns = await store.turns(key, limit=100)
        return {request_id for one in turns for request_id in one.request_ids}

    answered: set[str] = set()
    refused: list[str] = []

    async def run() -> None:
        async with place.open() as one, place.open() as two:
            stalls = iter(lost)
            async with asyncio.timeout(60):
                await asyncio.gather(
                    *(work([one, two][n % 2], f"worker-{n}", stalls) for n in range(4))
                )
            turns = await one.turns(key, limit=100)
            assert [made.number for made in turns] == list(range(1, len(turns) + 1))
            together = [request_id for made in turns for request_id in made.request_ids]
            assert sorted(together) == sorted(f"r-{number}" for number in range(24))
            assert await one.pending(key) == []
            for made in turns:
                for request_id in made.request_ids:
                    assert await two.outcome(key, request_id) == made.answer

    runner.run(run())
