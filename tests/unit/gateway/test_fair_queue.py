"""Tenants that wait for places: shares by weight, nobody starved, no trace of who left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.admission import Admission, AdmissionLimits
from kefu_gateway.domain.deadline import Deadline
from kefu_gateway.domain.fair_queue import PRUNED_FROM, FairQueue, Waiter

COSTS = st.lists(st.integers(1, 50), min_size=1, max_size=30)
LATER = Deadline.after(3600)


def push(queue: FairQueue, tenant: str, cost: int = 10, weight: float = 1.0) -> Waiter:
    return queue.push(asyncio.Future(loop=LOOP), tenant, cost, weight)


LOOP = asyncio.new_event_loop()


def serve(queue: FairQueue) -> Iterator[Waiter]:
    while (waiter := queue.first()) is not None:
        queue.served(waiter)
        yield waiter


@settings(max_examples=40)
@given(costs=COSTS)
def test_one_tenant_is_served_in_the_order_in_which_it_came(costs: Sequence[int]) -> None:
    queue = FairQueue()
    pushed = [push(queue, "shop", cost) for cost in costs]
    assert list(serve(queue)) == pushed


@settings(max_examples=40)
@given(
    shops=st.lists(st.integers(1, 50), min_size=30, max_size=60),
    banks=st.lists(st.integers(1, 50), min_size=30, max_size=60),
    weight=st.sampled_from([0.5, 1.0, 2.0, 4.0]),
)
def test_shares_are_as_the_weights_whatever_the_turns_cost(
    shops: Sequence[int], banks: Sequence[int], weight: float
) -> None:
    """While both wait, what they were served differs by no more than one turn of each (Goyal et al., theorem 1)."""
    queue = FairQueue()
    for cost in shops:
        push(queue, "shop", cost, weight)
    for cost in banks:
        push(queue, "bank", cost)
    left = {"shop": len(shops), "bank": len(banks)}
    served = {"shop": 0.0, "bank": 0.0}
    for waiter in serve(queue):
        served[waiter.tenant] += waiter.cost / waiter.weight
        left[waiter.tenant] -= 1
        if not all(left.values()):
            break
        assert abs(served["shop"] - served["bank"]) <= 50 / weight + 50


def test_who_comes_late_into_a_flood_is_next() -> None:
    queue = FairQueue()
    for _ in range(100):
        push(queue, "flood")
    for _ in range(40):
        queue.served(queue.first() or push(queue, "nobody"))
    late = push(queue, "bank")
    assert queue.first() is late
    queue.served(late)
    # It has no credit for the time in which it did not ask.
    push(queue, "bank")
    assert queue.first() is not None
    order = [waiter.tenant for waiter, _ in zip(serve(queue), range(4), strict=False)]
    assert order.count("bank") == 1


def test_who_leaves_leaves_no_trace() -> None:
    """A tenant whose callers give up and come back must not pay for turns that it never had."""
    queue = FairQueue()
    push(queue, "bank", 10)
    for _ in range(50):
        assert queue.remove(push(queue, "shop", 1000))
    push(queue, "bank", 10)
    push(queue, "shop", 10)
    assert [waiter.tenant for waiter in serve(queue)] == ["bank", "shop", "bank"]
    assert (len(queue), queue.oldest_seconds()) == (0, 0.0)


def test_who_fills_the_most_of_its_share_makes_room() -> None:
    """Six of a tenant that has a share of four are less than three of one that has a share of one."""
    queue = FairQueue()
    for _ in range(6):
        push(queue, "large", weight=4.0)
    last = [push(queue, "small") for _ in range(3)][-1]
    assert queue.crowding_out("new", 1.0) is last
    # As much as the other would have itself is no reason to go.
    assert queue.crowding_out("new", 1 / 3) is None
    assert queue.crowding_out("small", 1.0) is None


def test_thousands_of_tenants_are_forgotten_and_nobodys_debt() -> None:
    """What a tenant has had ahead of its share counts until the others have had theirs."""
    queue = FairQueue()
    queue.passed("shop", 1_000_000, 1.0)
    for number in range(PRUNED_FROM + 10):
        queue.passed(f"tenant {number}", 0, 1.0)
    push(queue, "shop")
    push(queue, "bank")
    assert [waiter.tenant for waiter in serve(queue)] == ["bank", "shop"]


async def test_a_flood_that_fills_the_queue_makes_room_for_others() -> None:
    door = Admission(AdmissionLimits(turns=1, tokens=100, queue=4), lambda running, queued: None)
    outcomes: dict[str, list[Reason | None]] = {"flood": [], "bank": []}

    async def turn(tenant: str) -> None:
        try:
            async with door.slot(10, LATER, tenant=tenant):
                outcomes[tenant].append(None)
        except KefuError as error:
            outcomes[tenant].append(error.reason)

    async with door.slot(10, LATER, tenant="flood"):
        flood = [asyncio.create_task(turn("flood")) for _ in range(6)]
        await asyncio.sleep(0)
        banks = [asyncio.create_task(turn("bank")) for _ in range(3)]
        await asyncio.sleep(0)
    await asyncio.gather(*flood, *banks)
    # Four fit. Two of the flood's six never did; two more made room for the bank, whose third would have had more than
    # the flood then.
    assert outcomes["flood"].count(Reason.OVERLOADED) == 4
    assert outcomes["bank"] == [Reason.OVERLOADED, None, None]
