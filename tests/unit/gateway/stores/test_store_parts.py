"""Names as keys, messages in a process, the sweeper."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kefu_common.errors import KefuError, Reason
from kefu_gateway.adapters.stores.messages import WAITING, LocalMessages
from kefu_gateway.adapters.stores.objects import open_objects
from kefu_gateway.adapters.stores.pictures import ObjectPictures
from kefu_gateway.adapters.stores.sqlite import SqliteSessions
from kefu_gateway.adapters.stores.sweeper import sweep, sweep_forever
from kefu_gateway.adapters.stores.uploads import ObjectUploads
from kefu_gateway.adapters.stores.valkey_scripts import (
    channel_of,
    key_of,
    keys_of,
    member_of,
    picture_key,
)
from kefu_gateway.domain.session import SessionKey
from kefu_gateway.domain.uploads import UploadLimits, UploadPlan
from tests.contract.stores.builders import Clock, turn

# Characters that a careless join would confuse, and any others that UTF-8 has.
name = st.text(alphabet="ab:{}%3A/.\n\x00租", max_size=6) | st.text(
    alphabet=st.characters(codec="utf-8"), max_size=6
)
key = st.builds(SessionKey, name, name)


@given(one=key, two=key)
def test_no_two_sessions_share_a_key(one: SessionKey, two: SessionKey) -> None:
    keys = [*keys_of(one), picture_key(one.tenant, one.session_id), channel_of(one.tenant)]
    others = [*keys_of(two), picture_key(two.tenant, two.session_id)]
    assert len(set(keys)) == len(keys)
    if one != two:
        assert set(keys).isdisjoint(others)


@given(one=key)
def test_a_sessions_keys_lie_in_one_slot_and_its_name_reads_back(one: SessionKey) -> None:
    # A cluster hashes what is between the first { and the first } after it, if that is anything at all.
    tags = {whole[whole.index("{") + 1 : whole.index("}")] for whole in keys_of(one)}
    assert tags == {member_of(one)}
    assert member_of(one)
    assert key_of(member_of(one)) == one


async def test_a_listener_that_does_not_keep_up_loses_the_oldest() -> None:
    messages = LocalMessages()
    async with messages.listen("g-1") as heard:
        for number in range(WAITING + 5):
            messages.publish("g-1", b"%d" % number)
        assert await anext(heard) == b"5"


async def test_a_listener_hears_from_its_entering_on() -> None:
    messages = LocalMessages()
    messages.publish("g-1", b"too early")
    async with messages.listen("g-1") as heard:
        messages.publish("g-1", b"now")
        assert await anext(heard) == b"now"
    messages.publish("g-1", b"too late")
    assert messages._listeners == {}


async def test_a_sweep_takes_sessions_their_pictures_and_uploads(tmp_path: Path) -> None:
    clock = Clock()
    objects = open_objects((tmp_path / "objects").as_uri())
    pictures = ObjectPictures(objects)
    uploads = ObjectUploads(objects, UploadLimits(seconds_to_live=100), clock=clock)
    plan = UploadPlan(
        upload_id="u",
        media_type="image/png",
        size=1,
        sha256="ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
    )
    async with SqliteSessions.open(tmp_path / "sessions.db", clock=clock) as sessions:
        sha256 = await pictures.put("acme", b"picture")
        await sessions.restore(
            SessionKey("acme", "s"), [turn(pictures=(sha256,))], seconds_to_live=100
        )
        async with uploads.receive("acme", plan) as reception:
            await reception.append(0, b"a")
            await reception.finish()
        await sweep(sessions, pictures, uploads)
        assert len(await objects.sizes("")) == 4, "a picture, and a plan, a file and a marker"
        clock.advance(100 + 3600)
        await sweep(sessions, pictures, uploads)
        assert await objects.sizes("") == {}


async def test_a_sweep_that_fails_is_followed_by_another(tmp_path: Path) -> None:
    class Uploads(ObjectUploads):
        rounds = 0

        async def expire(self) -> int:
            Uploads.rounds += 1
            if Uploads.rounds == 1:
                raise KefuError(Reason.STORE_UNAVAILABLE, "the store does not answer")
            again.set()
            return 0

    again = asyncio.Event()
    objects = open_objects((tmp_path / "objects").as_uri())
    async with SqliteSessions.open(tmp_path / "sessions.db") as sessions:
        sweeping = asyncio.create_task(
            sweep_forever(
                sessions, ObjectPictures(objects), Uploads(objects, UploadLimits()), every=0.001
            )
        )
        async with asyncio.timeout(60):
            await again.wait()
        sweeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sweeping
