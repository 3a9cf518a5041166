"""What every session store keeps to (domain/session.py), against SQLite and real Valkey servers."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from kefu_gateway.domain.session import (
    Entry,
    Failure,
    LeaseLost,
    Session,
    SessionKey,
    SessionStore,
    Submission,
)
from tests.contract.stores.builders import NOW, Clock, answer, entry, sha, turn
from tests.contract.stores.conftest import UNANSWERED_S, Place

KEY = SessionKey("acme", "s-1")
OVERLOADED = Failure(reason="OVERLOADED", message="busy", metadata=(("limit", "256"),))


async def submit(store: SessionStore, what: Entry, holder: str = "g-1") -> Submission:
    return await store.submit(KEY, what, holder=holder, lease_seconds=10)


async def answered(
    store: SessionStore, key: SessionKey, *, pictures: tuple[str, ...] = (), live: float = 100
) -> None:
    """A session of one turn."""
    submission = await store.submit(key, entry(), holder="g-1", lease_seconds=10)
    assert submission.fence is not None
    await store.commit(key, submission.fence, turn(pictures=pictures), seconds_to_live=live)
    assert await store.release(key, submission.fence)


# -- asking ----------------------------------------------------------------------------------------------------------


async def test_a_request_is_submitted_once(store: SessionStore) -> None:
    first = await submit(store, entry())
    assert first.state == "new"
    assert first.fence is not None
    again = await submit(store, entry(gateway="g-2", at=NOW + 1), holder="g-2")
    assert again == Submission(state="running", holder="g-1")
    assert await store.pending(KEY) == [entry()]


async def test_another_question_with_the_same_id_is_a_conflict(store: SessionStore) -> None:
    await submit(store, entry())
    assert (await submit(store, entry(fingerprint="f-2"))).state == "conflict"
    assert await store.pending(KEY) == [entry()]


async def test_an_answered_request_gives_its_answer_and_no_lease(store: SessionStore) -> None:
    await answered(store, KEY)
    assert await submit(store, entry()) == Submission(state="done", outcome=turn().answer)
    assert (await submit(store, entry(fingerprint="f-2"))).state == "conflict"
    assert await store.outcome(KEY, "r-1") == turn().answer
    assert await store.outcome(KEY, "r-2") is None


async def test_a_submission_that_asks_for_no_lease_gets_none(store: SessionStore) -> None:
    submission = await store.submit(KEY, entry(), holder="g-1", lease_seconds=0)
    assert submission == Submission(state="new")
    assert await store.acquire(KEY, holder="g-2", lease_seconds=10) is not None
    again = await store.submit(KEY, entry(), holder="g-1", lease_seconds=0)
    assert again == Submission(state="running", holder="g-2")


async def test_the_inbox_keeps_the_order_of_arrival(store: SessionStore) -> None:
    # Not that of the clocks: two gateways' clocks differ.
    sent = [entry(f"r-{number}", at=NOW - number) for number in range(12)]
    for one in sent:
        await submit(store, one)
    assert await store.pending(KEY) == sent


async def test_a_withdrawn_request_is_gone_and_may_come_again(store: SessionStore) -> None:
    await submit(store, entry("r-1"))
    await submit(store, entry("r-2"))
    assert await store.withdraw(KEY, "r-1") == "g-1", "who runs the session must be told"
    assert await store.withdraw(KEY, "r-1") == ""
    assert await store.withdraw(SessionKey("acme", "unknown"), "r-1") == ""
    assert await store.pending(KEY) == [entry("r-2")]
    assert (await submit(store, entry("r-1", fingerprint="f-9"))).state == "new"
    assert [one.request_id for one in await store.pending(KEY)] == ["r-2", "r-1"]


async def test_a_request_withdrawn_too_late_is_answered_all_the_same(store: SessionStore) -> None:
    # Its turn was running: asked again, it must find this answer and not make a second turn.
    submission = await submit(store, entry())
    assert submission.fence is not None
    await store.withdraw(KEY, "r-1")
    await store.commit(KEY, submission.fence, turn(), seconds_to_live=100)
    assert (await submit(store, entry())).state == "done"


# -- the lease -------------------------------------------------------------------------------------------------------


async def test_one_holder_at_a_time(store: SessionStore, clock: Clock) -> None:
    fence = await store.acquire(KEY, holder="g-1", lease_seconds=10)
    assert fence is not None
    assert await store.acquire(KEY, holder="g-2", lease_seconds=10) is None
    assert (await submit(store, entry(), holder="g-2")).fence is None
    assert await store.acquire(KEY, holder="g-1", lease_seconds=10) == fence
    clock.advance(9.9)
    assert await store.acquire(KEY, holder="g-2", lease_seconds=10) is None
    clock.advance(0.2)
    second = await store.acquire(KEY, holder="g-2", lease_seconds=10)
    assert second is not None
    assert second > fence


async def test_a_renewed_lease_lasts(store: SessionStore, clock: Clock) -> None:
    fence = await store.acquire(KEY, holder="g-1", lease_seconds=10)
    assert fence is not None
    clock.advance(8)
    assert await store.renew(KEY, fence, lease_seconds=10)
    clock.advance(8)
    assert await store.acquire(KEY, holder="g-2", lease_seconds=10) is None
    clock.advance(8)
    assert await store.renew(KEY, fence, lease_seconds=10), "nobody else took it meanwhile"
    clock.advance(11)
    assert await store.acquire(KEY, holder="g-2", lease_seconds=10)
    assert not await store.renew(KEY, fence, lease_seconds=10)


async def test_an_old_fence_writes_nothing(store: SessionStore, clock: Clock) -> None:
    old = (await submit(store, entry())).fence
    assert old is not None
    clock.advance(11)
    new = (await submit(store, entry(), holder="g-2")).fence
    assert new is not None
    with pytest.raises(LeaseLost):
        await store.commit(KEY, old, turn(), seconds_to_live=100)
    with pytest.raises(LeaseLost):
        await store.fail(KEY, old, ["r-1"], OVERLOADED)
    assert not await store.release(KEY, old)
    assert await store.session(KEY) is None
    assert await store.pending(KEY) == [entry()]
    await store.commit(KEY, new, turn(), seconds_to_live=100)


async def test_a_lease_is_not_given_back_while_something_waits(store: SessionStore) -> None:
    fence = (await submit(store, entry())).fence
    assert fence is not None
    assert not await store.release(KEY, fence)
    await store.withdraw(KEY, "r-1")
    assert await store.release(KEY, fence)
    assert not await store.release(KEY, fence)
    with pytest.raises(LeaseLost):
        await store.commit(KEY, fence, turn(), seconds_to_live=100)
    assert await store.acquire(KEY, holder="g-2", lease_seconds=10) not in (None, fence)


async def test_a_fence_is_never_given_twice_not_even_after_deletion(store: SessionStore) -> None:
    # The clock stands still: only what was given before tells fences apart.
    fences = []
    for number in range(4):
        fence = await store.acquire(KEY, holder=f"g-{number}", lease_seconds=10)
        fences.append(fence or 0)
        await store.delete(KEY)
    assert fences == sorted(set(fences))
    with pytest.raises(LeaseLost):
        await store.commit(KEY, fences[-1], turn(), seconds_to_live=100)


async def test_only_one_of_many_gateways_gets_the_lease(place: Place) -> None:
    async with place.open() as one, place.open() as two:
        got = await asyncio.gather(
            *(
                store.submit(KEY, entry(f"r-{n}"), holder=f"g-{n}", lease_seconds=10)
                for n, store in enumerate([one, two] * 10)
            )
        )
        assert sum(submission.fence is not None for submission in got) == 1
        assert len(await two.pending(KEY)) == 20


# -- answering -------------------------------------------------------------------------------------------------------


async def test_a_commit_is_one_step(store: SessionStore, clock: Clock) -> None:
    fence = (await submit(store, entry("r-1"))).fence
    await submit(store, entry("r-2"))
    await submit(store, entry("r-3"))
    assert fence is not None
    joined = turn(request_ids=("r-1", "r-2"), pictures=(sha("a"),))
    await store.commit(KEY, fence, joined, seconds_to_live=2000)
    assert await store.turns(KEY) == [joined]
    assert await store.outcome(KEY, "r-1") == joined.answer
    assert await store.outcome(KEY, "r-2") == joined.answer
    assert await store.pending(KEY) == [entry("r-3")]
    assert await store.session(KEY) == Session(
        key=KEY,
        created_at=joined.created_at,
        updated_at=joined.created_at,
        expires_at=clock() + 2000,
        turns=1,
        chain=1,
    )


async def test_a_commit_whose_reply_was_lost_may_be_repeated(store: SessionStore) -> None:
    fence = (await submit(store, entry())).fence
    assert fence is not None
    await store.commit(KEY, fence, turn(), seconds_to_live=100)
    await store.commit(KEY, fence, turn(), seconds_to_live=100)
    assert len(await store.turns(KEY)) == 1
    with pytest.raises(ValueError):  # noqa: PT011 - the port says no more
        await store.commit(KEY, fence, turn(text="another"), seconds_to_live=100)


@pytest.mark.parametrize("number", [0, 1, 3])
async def test_turns_are_numbered_without_gaps(store: SessionStore, number: int) -> None:
    await answered(store, KEY)
    fence = (await submit(store, entry("r-2"))).fence
    assert fence is not None
    with pytest.raises(ValueError):  # noqa: PT011 - the port says no more
        await store.commit(KEY, fence, turn(number, request_ids=("r-2",)), seconds_to_live=100)
    assert await store.turns(KEY) == [turn()]
    assert await store.pending(KEY) == [entry("r-2")]


async def test_a_turn_of_an_earlier_chain_is_refused(store: SessionStore) -> None:
    fence = await store.acquire(KEY, holder="g-1", lease_seconds=10)
    assert fence is not None
    await store.commit(KEY, fence, turn(1, chain=2), seconds_to_live=100)
    with pytest.raises(ValueError):  # noqa: PT011 - the port says no more
        await store.commit(KEY, fence, turn(2, chain=1, request_ids=("r-2",)), seconds_to_live=100)


async def test_no_request_is_answered_twice(store: SessionStore) -> None:
    await answered(store, KEY)
    fence = (await submit(store, entry("r-2"))).fence
    assert fence is not None
    with pytest.raises(ValueError):  # noqa: PT011 - the port says no more
        await store.commit(KEY, fence, turn(2, request_ids=("r-2", "r-1")), seconds_to_live=100)
    assert await store.turns(KEY) == [turn()]


async def test_a_one_off_leaves_its_outcome_and_no_session(
    store: SessionStore, clock: Clock
) -> None:
    fence = (await submit(store, entry())).fence
    assert fence is not None
    for _ in range(2):  # and may be repeated
        await store.commit(KEY, fence, turn(), seconds_to_live=50, keep_turn=False)
    assert await store.session(KEY) is None
    assert await store.turns(KEY) == []
    assert await submit(store, entry()) == Submission(state="done", outcome=turn().answer)
    assert await store.release(KEY, fence)
    clock.advance(51)
    assert await store.outcome(KEY, "r-1") is None


async def test_a_failed_request_may_be_asked_again(store: SessionStore) -> None:
    fence = (await submit(store, entry("r-1"))).fence
    await submit(store, entry("r-2"))
    assert fence is not None
    await store.fail(KEY, fence, ["r-1", "unknown"], OVERLOADED)
    assert await store.outcome(KEY, "r-1") == OVERLOADED
    assert await store.outcome(KEY, "unknown") is None
    assert await store.pending(KEY) == [entry("r-2")]
    again = await submit(store, entry("r-1", fingerprint="f-2"))
    assert (again.state, again.fence) == ("new", fence)
    assert await store.outcome(KEY, "r-1") is None
    await store.commit(KEY, fence, turn(request_ids=("r-2", "r-1")), seconds_to_live=100)
    await store.fail(KEY, fence, ["r-1"], OVERLOADED)
    assert await store.outcome(KEY, "r-1") == turn(request_ids=("r-2", "r-1")).answer


# -- remembering -----------------------------------------------------------------------------------------------------


async def test_turns_come_in_pages(store: SessionStore) -> None:
    kept = [turn(n, request_ids=(f"r-{n}",)) for n in range(1, 8)]
    await store.restore(KEY, kept, seconds_to_live=100)
    assert await store.turns(KEY, limit=3) == kept[:3]
    assert await store.turns(KEY, after=3, limit=3) == kept[3:6]
    assert await store.turns(KEY, after=6, limit=3) == kept[6:]
    assert await store.turns(KEY, after=7) == []
    assert await store.turns(KEY, limit=0) == []


async def test_recent_turns_are_those_of_the_chain(store: SessionStore) -> None:
    # More than one block of the search: 20 of the first topic, 20 of the second, 2 of the third.
    chains = [1] * 20 + [2] * 20 + [3] * 2
    kept = [turn(n, chain=chain, request_ids=(f"r-{n}",)) for n, chain in enumerate(chains, 1)]
    await store.restore(KEY, kept, seconds_to_live=100)
    assert await store.recent(KEY, chain=3, limit=5) == kept[40:]
    assert await store.recent(KEY, chain=2, limit=19) == kept[21:40]
    assert await store.recent(KEY, chain=1, limit=3) == kept[17:20]
    assert await store.recent(KEY, chain=4, limit=3) == []


async def test_a_restored_session_is_the_same(store: SessionStore) -> None:
    kept = [
        turn(1, request_ids=("r-1", "r-2"), pictures=(sha("a"), sha("b"))),
        turn(2, request_ids=("r-3",)),
        turn(3, chain=2, request_ids=("r-4",), pictures=(sha("a"),)),
    ]
    fence = await store.acquire(KEY, holder="g-1", lease_seconds=10)
    assert fence is not None
    for one in kept:
        await store.commit(KEY, fence, one, seconds_to_live=100)
    other = SessionKey("acme", "s-2")
    await store.restore(other, kept, seconds_to_live=100)
    first = await store.session(KEY)
    assert first is not None
    assert await store.session(other) == replace(first, key=other)
    assert await store.turns(other) == await store.turns(KEY) == kept
    assert await store.outcome(other, "r-2") == kept[0].answer
    assert (await store.submit(other, entry("r-4"), holder="g", lease_seconds=1)).state == "done"
    assert await store.delete(KEY) == [], "the restored session uses the same pictures"
    assert set(await store.delete(other)) == {sha("a"), sha("b")}


async def test_a_session_that_exists_is_not_written_over(store: SessionStore) -> None:
    await answered(store, KEY)
    with pytest.raises(ValueError):  # noqa: PT011 - the port says no more
        await store.restore(KEY, [turn(text="another")], seconds_to_live=100)
    await submit(store, entry("r-9"))
    with pytest.raises(ValueError):  # noqa: PT011 - the port says no more
        await store.restore(KEY, [turn()], seconds_to_live=100)
    assert await store.turns(KEY) == [turn()]


@pytest.mark.parametrize(
    "turns",
    [[], [turn(2)], [turn(1), turn(3)], [turn(1, chain=2), turn(2, chain=1)]],
    ids=["empty", "late", "gap", "chain"],
)
async def test_what_is_no_session_is_not_restored(store: SessionStore, turns: list[object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the port says no more
        await store.restore(KEY, turns, seconds_to_live=100)  # type: ignore[arg-type]
    assert await store.session(KEY) is None


async def test_a_turn_comes_back_to_the_last_bit(store: SessionStore) -> None:
    odd = replace(
        turn(text="\x00 \ud800 \n \U0001f600 \u2028"),
        answer=replace(answer(), timings={"infer": float("inf"), "fit": 5e-324}, fields={}),
        created_at=1732162911.265574,
    )
    fence = await store.acquire(KEY, holder="g-1", lease_seconds=10)
    assert fence is not None
    await store.commit(KEY, fence, odd, seconds_to_live=100)
    assert await store.turns(KEY) == [odd]
    session = await store.session(KEY)
    assert session is not None
    assert session.created_at == odd.created_at


# -- tenants ---------------------------------------------------------------------------------------------------------

# Pairs of names that a careless join would write the same.
NAMES = [
    "",
    "a",
    "b",
    "a:b",
    "a}",
    "{a",
    "a}:{b",
    "%3A",
    ":",
    "a%3Ab",
    "a\nb",
    "租户",
    "a/../b",
    "A",
]


async def test_sessions_of_all_names_stay_apart(store: SessionStore) -> None:
    keys = [SessionKey(tenant, session) for tenant in NAMES for session in NAMES if session]
    assert len(keys) > 150
    for number, key in enumerate(keys):
        await store.restore(key, [turn(text=f"{number}")], seconds_to_live=100)
    for number, key in enumerate(keys):
        (kept,) = await store.turns(key)
        assert kept.parts[0].text == f"{number}"


async def test_a_tenant_sees_nothing_of_another(store: SessionStore) -> None:
    await answered(store, KEY, pictures=(sha("a"),))
    other = SessionKey("other", KEY.session_id)
    assert await store.session(other) is None
    assert await store.turns(other) == []
    assert await store.outcome(other, "r-1") is None
    assert await store.delete(other) == []
    assert (await store.submit(other, entry(), holder="g-1", lease_seconds=10)).state == "new"
    await answered(store, other, pictures=(sha("a"),))
    # The same bytes are two pictures: one a tenant.
    assert await store.delete(KEY) == [sha("a")]
    assert await store.delete(other) == [sha("a")]


# -- deleting and time to live ---------------------------------------------------------------------------------------


async def test_deleting_gives_the_pictures_that_nobody_else_uses(store: SessionStore) -> None:
    second = SessionKey("acme", "s-2")
    await answered(store, KEY, pictures=(sha("a"), sha("b"), sha("a")))
    await answered(store, second, pictures=(sha("b"), sha("c")))
    assert await store.delete(KEY) == [sha("a")]
    assert await store.session(KEY) is None
    assert await store.outcome(KEY, "r-1") is None
    assert await store.delete(KEY) == []
    assert set(await store.delete(second)) == {sha("b"), sha("c")}


async def test_a_noted_picture_is_kept_before_any_turn_has_it(store: SessionStore) -> None:
    await answered(store, KEY, pictures=(sha("a"),))
    second = SessionKey("acme", "s-2")
    await store.use_pictures(second, [sha("a"), sha("b")])
    assert await store.session(second) is None
    assert await store.delete(KEY) == [], "the other session is about to use it"
    assert set(await store.delete(second)) == {sha("a"), sha("b")}


async def test_a_picture_noted_for_nothing_is_given_free(store: SessionStore, clock: Clock) -> None:
    # The gateway died between noting it and submitting the request.
    await store.use_pictures(KEY, [sha("a")])
    clock.advance(UNANSWERED_S - 1)
    assert await store.expire() == []
    clock.advance(2)
    assert await store.expire() == [("acme", sha("a"))]
    assert await store.expire() == []


async def test_a_session_ends_with_its_time(store: SessionStore, clock: Clock) -> None:
    await answered(store, KEY, pictures=(sha("a"),), live=100)
    clock.advance(99)
    assert await store.expire() == []
    assert await store.session(KEY) is not None
    clock.advance(2)
    assert await store.session(KEY) is None, "gone, swept away or not"
    assert await store.turns(KEY) == []
    assert await store.recent(KEY, chain=1, limit=5) == []
    assert await store.outcome(KEY, "r-1") is None
    assert await store.expire() == [("acme", sha("a"))]
    assert await store.expire() == []


async def test_each_turn_lets_the_session_live_on(store: SessionStore, clock: Clock) -> None:
    await answered(store, KEY, live=100)
    clock.advance(90)
    fence = (await submit(store, entry("r-2"))).fence
    assert fence is not None
    await store.commit(KEY, fence, turn(2, request_ids=("r-2",)), seconds_to_live=100)
    clock.advance(90)
    assert await store.expire() == []
    assert len(await store.turns(KEY)) == 2


async def test_a_request_that_waits_keeps_its_session(store: SessionStore, clock: Clock) -> None:
    await answered(store, KEY, live=100)
    await submit(store, entry("r-2"))
    clock.advance(101)
    assert await store.expire() == []
    assert await store.pending(KEY) == [entry("r-2")]
    assert len(await store.turns(KEY)) == 1, "its history too"


async def test_a_request_that_ended_badly_keeps_its_session_no_longer(
    store: SessionStore, clock: Clock
) -> None:
    await answered(store, KEY, live=100)
    fence = (await submit(store, entry("r-2"))).fence
    assert fence is not None
    await store.fail(KEY, fence, ["r-2"], OVERLOADED)
    clock.advance(99)
    assert await store.outcome(KEY, "r-2") == OVERLOADED
    await submit(store, entry("r-3"))
    await store.withdraw(KEY, "r-3")
    clock.advance(2)
    assert await store.session(KEY) is None


async def test_a_session_that_comes_back_after_its_time_is_new(
    store: SessionStore, clock: Clock
) -> None:
    await answered(store, KEY, pictures=(sha("a"), sha("b")), live=100)
    clock.advance(101)
    submission = await submit(store, entry("r-1", fingerprint="f-2"))
    assert submission.state == "new", "the old answer went with its session"
    assert submission.fence is not None
    assert await store.session(KEY) is None
    await store.commit(KEY, submission.fence, turn(pictures=(sha("b"),)), seconds_to_live=100)
    assert await store.expire() == []
    # What nobody swept away meanwhile is given free with the new session: late, and all of it.
    assert set(await store.delete(KEY)) == {sha("a"), sha("b")}


async def test_many_sessions_expire_in_one_sweep(store: SessionStore, clock: Clock) -> None:
    for number in range(450):
        key = SessionKey("acme", f"s-{number}")
        await store.use_pictures(key, [sha(f"{number % 50}")])
    clock.advance(UNANSWERED_S + 1)
    assert set(await store.expire()) == {("acme", sha(f"{number}")) for number in range(50)}
    assert await store.expire() == []


# -- messages --------------------------------------------------------------------------------------------------------


async def test_messages_reach_their_gateway_in_order(place: Place) -> None:
    async with place.open() as here, place.open() as there:
        receiver = here if place.kind == "sqlite" else there
        async with receiver.listen("g-1") as to_one, receiver.listen("g-2") as to_two:
            await here.publish("g-1", b"\x00first")
            await here.publish("g-2", b"other")
            await here.publish("g-1", b"second")
            await here.publish("nobody", b"lost")
            async with asyncio.timeout(20):
                assert [await anext(to_one), await anext(to_one)] == [b"\x00first", b"second"]
                assert await anext(to_two) == b"other"


async def test_two_listeners_of_one_name_both_hear(store: SessionStore) -> None:
    async with store.listen("g-1") as one, store.listen("g-1") as two:
        await store.publish("g-1", b"x")
        async with asyncio.timeout(20):
            assert await anext(one) == await anext(two) == b"x"
    await store.publish("g-1", b"nobody listens any more")


async def test_a_store_that_answers_says_so(store: SessionStore) -> None:
    await store.ping()
