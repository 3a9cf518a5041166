"""What a tenant may use, kept by one gateway alone or in the store that several share: the same rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kefu_gateway.adapters.stores.quotas_local import LocalLedger
from kefu_gateway.adapters.stores.quotas_valkey import ValkeyLedger
from kefu_gateway.domain.quotas import DAY_SECONDS, Quota, QuotaLedger, Refused, Taken
from tests.contract.stores.builders import Clock
from tests.contract.stores.servers import ValkeyServer

SHOP, BANK = "shop", "bank:{a} b"


@dataclass
class Books:
    kind: str
    where: str
    clock: Clock = field(default_factory=Clock)

    def open(self) -> AbstractAsyncContextManager[QuotaLedger]:
        if self.kind == "local":
            return LocalLedger.open(Path(self.where), every=0.01, clock=self.clock)
        return ValkeyLedger.open(self.where, clock=self.clock, timeout=5.0)


@pytest.fixture(params=["local", "valkey", "valkey_cluster"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> Books:
    if request.param == "local":
        return Books("local", str(tmp_path / "state" / "quotas.db"))
    server: ValkeyServer = request.getfixturevalue(request.param)
    assert server.ask("FLUSHALL") == "+OK"
    return Books(request.param, server.url)


@pytest.fixture
async def ledger(books: Books) -> AsyncIterator[QuotaLedger]:
    async with books.open() as opened:
        yield opened


TICKETS = iter(range(10**9))


async def take(
    ledger: QuotaLedger, quota: Quota, tenant: str = SHOP, tokens: int = 10, seconds: float = 60
) -> Taken | Refused:
    return await ledger.take(
        tenant, quota, ticket=f"t{next(TICKETS)}", tokens=tokens, seconds=seconds
    )


async def test_a_burst_then_the_rate(ledger: QuotaLedger, books: Books) -> None:
    quota = Quota(turns_per_second=2, burst=3)
    for _ in range(3):
        assert isinstance(await take(ledger, quota), Taken)
    refused = await take(ledger, quota)
    assert isinstance(refused, Refused)
    assert (refused.quota, refused.limit) == ("turns_per_second", 2)
    assert refused.retry_after == pytest.approx(0.5, abs=1e-5)
    assert isinstance(await take(ledger, quota, BANK), Taken), "another tenant's is its own"
    books.clock.advance(refused.retry_after)
    assert isinstance(await take(ledger, quota), Taken)
    assert isinstance(await take(ledger, quota), Refused)
    books.clock.advance(3600)
    for _ in range(3):
        assert isinstance(await take(ledger, quota), Taken)
    assert isinstance(await take(ledger, quota), Refused), (
        "a long pause saves up no more than the burst"
    )


async def test_a_faster_rate_holds_at_once(ledger: QuotaLedger, books: Books) -> None:
    """Whoever had used up a turn in 100 s waited for those 100 s, though 1,000 turns a second were allowed by then."""
    assert isinstance(await take(ledger, Quota(turns_per_second=0.01, burst=1)), Taken)
    fast = Quota(turns_per_second=1000, burst=2)
    refused = await take(ledger, fast)
    assert isinstance(refused, Refused)
    assert refused.retry_after == pytest.approx(0.001, abs=1e-5), "the bucket is empty, no more"
    books.clock.advance(refused.retry_after)
    assert isinstance(await take(ledger, fast), Taken)


async def test_places_are_given_back_or_lapse(ledger: QuotaLedger, books: Books) -> None:
    quota = Quota(concurrent_turns=2)
    first = await take(ledger, quota)
    assert isinstance(first, Taken)
    assert isinstance(await take(ledger, quota, seconds=30), Taken)
    refused = await take(ledger, quota)
    assert isinstance(refused, Refused)
    assert (refused.quota, refused.retry_after) == ("concurrent_turns", 1.0)
    await ledger.settle(first, 0)
    assert isinstance(await take(ledger, quota), Taken)
    assert isinstance(await take(ledger, quota), Refused)
    books.clock.advance(31)  # the gateway of the second one died
    assert isinstance(await take(ledger, quota), Taken)


async def test_tokens_are_reserved_and_settled(ledger: QuotaLedger, books: Books) -> None:
    quota = Quota(tokens_per_day=100)
    first = await take(ledger, quota, tokens=60)
    assert isinstance(first, Taken)
    refused = await take(ledger, quota, tokens=50)
    assert isinstance(refused, Refused)
    midnight = DAY_SECONDS - books.clock() % DAY_SECONDS
    assert (refused.quota, refused.limit) == ("tokens_per_day", 100)
    assert refused.retry_after == pytest.approx(midnight, abs=1e-3)
    await ledger.settle(first, 20)
    second = await take(ledger, quota, tokens=80)
    assert isinstance(second, Taken)
    assert isinstance(await take(ledger, quota, tokens=1), Refused)
    books.clock.advance(refused.retry_after + 1)
    assert isinstance(await take(ledger, quota, tokens=100), Taken)
    await ledger.settle(second, 0)  # yesterday's: today owes nothing to it
    assert isinstance(await take(ledger, quota, tokens=1), Refused)


async def test_what_is_refused_takes_nothing(ledger: QuotaLedger) -> None:
    """All three limits or none: being out of tokens must not also use up the rate."""
    quota = Quota(turns_per_second=1, burst=2, concurrent_turns=5, tokens_per_day=10)
    for _ in range(5):
        refused = await take(ledger, quota, tokens=11)
        assert isinstance(refused, Refused)
        assert refused.quota == "tokens_per_day"
    assert isinstance(await take(ledger, quota, tokens=5), Taken)
    assert isinstance(await take(ledger, quota, tokens=5), Taken)
    last = await take(ledger, quota, tokens=0)
    assert isinstance(last, Refused)
    assert last.quota == "turns_per_second"


async def test_a_restart_does_not_give_a_second_day(books: Books) -> None:
    quota = Quota(tokens_per_day=100)
    async with books.open() as before:
        taken = await take(before, quota, tokens=90)
        assert isinstance(taken, Taken)
        await before.settle(taken, 70)
    async with books.open() as after:
        assert isinstance(await take(after, quota, tokens=40), Refused)
        assert isinstance(await take(after, quota, tokens=30), Taken)


@pytest.mark.parametrize("books", ["valkey", "valkey_cluster"], indirect=True)
async def test_several_gateways_share_one_limit(books: Books) -> None:
    """400 questions at once through two gateways: not one more than allowed gets in."""
    quota = Quota(turns_per_second=1, burst=50, concurrent_turns=30, tokens_per_day=10_000)
    async with AsyncExitStack() as stack:
        gateways = [await stack.enter_async_context(books.open()) for _ in range(2)]
        results = await asyncio.gather(
            *(take(gateways[number % 2], quota) for number in range(400))
        )
        taken = [one for one in results if isinstance(one, Taken)]
        assert len(taken) == 30
        await asyncio.gather(*(gateways[1].settle(one, 0) for one in taken))
        results = await asyncio.gather(*(take(gateway, quota) for gateway in gateways * 50))
        assert sum(isinstance(one, Taken) for one in results) == 20


QUOTAS = st.builds(
    Quota,
    turns_per_second=st.sampled_from([0.0, 0.5, 3.0]),
    burst=st.sampled_from([0, 1, 4]),
    concurrent_turns=st.sampled_from([0, 1, 3]),
    tokens_per_day=st.sampled_from([0, 40]),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.sampled_from([SHOP, BANK]), st.integers(0, 20)),
        st.tuples(st.just("settle"), st.integers(0, 30), st.integers(0, 30)),
        st.tuples(st.just("wait"), st.sampled_from([0.25, 1.0, 40.0, 90_000.0]), st.just(0)),
    ),
    max_size=30,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(quota=QUOTAS, steps=STEPS)
def test_both_books_say_the_same(
    valkey: ValkeyServer, quota: Quota, steps: list[tuple[str, object, int]]
) -> None:
    """The script in Valkey against the few lines of Python, step by step."""

    async def play() -> None:
        assert valkey.ask("FLUSHALL") == "+OK"
        clock = Clock()
        async with ValkeyLedger.open(valkey.url, clock=clock, timeout=5.0) as shared:
            ledgers: tuple[QuotaLedger, ...] = (LocalLedger(clock), shared)
            held: list[list[Taken]] = []
            for what, first, number in steps:
                if what == "wait":
                    assert isinstance(first, float)
                    clock.advance(first)
                elif what == "settle" and held:
                    assert isinstance(first, int)
                    for ledger, one in zip(ledgers, held.pop(first % len(held)), strict=True):
                        await ledger.settle(one, number)
                elif what == "take":
                    ticket = f"t{next(TICKETS)}"
                    said = [
                        await ledger.take(
                            str(first), quota, ticket=ticket, tokens=number, seconds=60
                        )
                        for ledger in ledgers
                    ]
                    mine, theirs = said
                    if isinstance(mine, Refused):
                        assert isinstance(theirs, Refused)
                        assert (theirs.quota, theirs.limit) == (mine.quota, mine.limit)
                        assert theirs.retry_after == pytest.approx(mine.retry_after, abs=1e-4)
                    else:
                        assert theirs == mine
                        held.append([one for one in said if isinstance(one, Taken)])

    asyncio.run(play())


async def test_while_the_store_is_away_each_gateway_keeps_its_own_books() -> None:
    quota = Quota(concurrent_turns=1)
    async with ValkeyLedger.open("redis://127.0.0.1:1/0", timeout=0.2) as ledger:
        taken = await take(ledger, quota)
        assert isinstance(taken, Taken)
        assert isinstance(await take(ledger, quota), Refused)
        await ledger.settle(taken, 0)
        assert isinstance(await take(ledger, quota), Taken)
