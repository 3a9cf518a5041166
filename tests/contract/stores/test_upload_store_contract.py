"""What the upload store keeps to, in a folder and on a real S3 server."""

from __future__ import annotations

import asyncio
import hashlib
import random
from dataclasses import replace

import pytest

from kefu_common.errors import KefuError, Reason
from kefu_gateway.adapters.stores.objects import Objects, open_objects
from kefu_gateway.adapters.stores.uploads import ObjectUploads
from kefu_gateway.domain.uploads import UploadedFile, UploadLimits, UploadPlan
from tests.contract.stores.builders import Clock

MIB = 1024 * 1024
LIMITS = UploadLimits(seconds_to_live=7200, uploads_per_tenant=3)


def file_of(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def plan_of(data: bytes, upload_id: str = "u-1") -> UploadPlan:
    return UploadPlan(
        upload_id=upload_id,
        media_type="image/png",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def objects(objects_url: str) -> Objects:
    return open_objects(objects_url)


@pytest.fixture
def uploads(objects: Objects, clock: Clock) -> ObjectUploads:
    return ObjectUploads(objects, LIMITS, clock=clock)


async def send(
    uploads: ObjectUploads,
    plan: UploadPlan,
    data: bytes,
    *,
    tenant: str = "acme",
    chunk: int = 100_000,
    until: int | None = None,
) -> None:
    """Sends from where the upload stands; stops as a broken stream does after `until` bytes."""
    async with uploads.receive(tenant, plan) as reception:
        end = len(data) if until is None else until
        while (at := reception.upload.received) < end:
            await reception.append(at, data[at : min(end, at + chunk)])
        if until is not None:
            raise ConnectionResetError
        await reception.finish()


@pytest.mark.parametrize("size", [1, 99_999, MIB - 1, MIB, MIB + 1, 3 * MIB + 7])
async def test_a_file_comes_back(uploads: ObjectUploads, clock: Clock, size: int) -> None:
    data = file_of(size)
    await send(uploads, plan_of(data), data)
    assert await uploads.read("acme", "u-1") == UploadedFile(media_type="image/png", data=data)
    upload = await uploads.find("acme", "u-1")
    assert upload is not None
    assert upload.plan == plan_of(data)
    assert (upload.received, upload.complete) == (size, True)
    assert upload.expires_at == clock() + 7200


async def test_a_broken_upload_goes_on_from_where_it_was(
    uploads: ObjectUploads, objects: Objects
) -> None:
    data = file_of(3 * MIB)
    plan = plan_of(data)
    stops = [1, 70_001, MIB - 1, MIB, MIB + 5, 2 * MIB + 300_000, 3 * MIB]
    for stop in stops:
        with pytest.raises(ConnectionResetError):
            await send(uploads, plan, data, until=stop)
        upload = await uploads.find("acme", "u-1")
        assert upload is not None
        assert (upload.received, upload.complete) == (stop, False)
        assert await uploads.read("acme", "u-1") is None
    assert len(await objects.sizes("uploads/files")) == 3, "one part a MiB"
    # Another gateway finishes it.
    await send(ObjectUploads(objects, LIMITS, clock=Clock()), plan, data)
    read = await uploads.read("acme", "u-1")
    assert read is not None
    assert read.data == data
    assert len(await objects.sizes("uploads/files")) == 1, "the file alone"


async def test_a_cancelled_stream_keeps_what_arrived(uploads: ObjectUploads) -> None:
    data = file_of(1000)
    arrived = asyncio.Event()

    async def stream() -> None:
        async with uploads.receive("acme", plan_of(data)) as reception:
            await reception.append(0, data[:600])
            arrived.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(stream())
    await arrived.wait()
    task.cancel()
    await asyncio.wait([task])
    upload = await uploads.find("acme", "u-1")
    assert upload is not None
    assert upload.received == 600


@pytest.mark.parametrize("offset", [0, 99, 101])
async def test_a_chunk_must_go_on_where_the_upload_is(uploads: ObjectUploads, offset: int) -> None:
    data = file_of(1000)
    async with uploads.receive("acme", plan_of(data)) as reception:
        await reception.append(0, data[:100])
        with pytest.raises(KefuError) as raised:
            await reception.append(offset, data[offset : offset + 10])
    assert raised.value.reason is Reason.UPLOAD_MISMATCH
    assert raised.value.metadata == {"upload_id": "u-1", "expected_offset": "100"}


async def test_more_bytes_than_promised_are_not_kept(uploads: ObjectUploads) -> None:
    data = file_of(1000)
    async with uploads.receive("acme", plan_of(data)) as reception:
        await reception.append(0, data[:900])
        with pytest.raises(KefuError) as raised:
            await reception.append(900, data[900:] + b"x")
    assert raised.value.reason is Reason.UPLOAD_MISMATCH
    upload = await uploads.find("acme", "u-1")
    assert upload is not None
    assert upload.received == 900


async def test_an_unfinished_upload_is_told_what_is_missing(uploads: ObjectUploads) -> None:
    data = file_of(1000)
    async with uploads.receive("acme", plan_of(data)) as reception:
        await reception.append(0, data[:900])
        with pytest.raises(KefuError) as raised:
            await reception.finish()
    assert raised.value.metadata["expected_offset"] == "900"


async def test_bytes_of_another_hash_are_dropped(uploads: ObjectUploads) -> None:
    data = file_of(2 * MIB)
    plan = replace(plan_of(data), sha256=hashlib.sha256(b"other").hexdigest())
    with pytest.raises(KefuError) as raised:
        await send(uploads, plan, data)
    assert raised.value.reason is Reason.UPLOAD_MISMATCH
    assert raised.value.metadata["expected_offset"] == "0"
    upload = await uploads.find("acme", "u-1")
    assert upload is not None
    assert (upload.received, upload.complete) == (0, False)


async def test_the_same_upload_again_is_complete_at_once(uploads: ObjectUploads) -> None:
    data = file_of(5000)
    await send(uploads, plan_of(data), data)
    async with uploads.receive("acme", plan_of(data)) as reception:
        assert reception.upload.complete
        await reception.append(0, data[:100])
        assert (await reception.finish()).complete
    read = await uploads.read("acme", "u-1")
    assert read is not None
    assert read.data == data


@pytest.mark.parametrize("complete", [False, True])
async def test_another_file_under_the_same_id_is_refused(
    uploads: ObjectUploads, complete: bool
) -> None:
    data, other = file_of(5000), file_of(5000, seed=1)
    if complete:
        await send(uploads, plan_of(data), data)
    else:
        with pytest.raises(ConnectionResetError):
            await send(uploads, plan_of(data), data, until=1000)
    for plan in (
        plan_of(other),
        replace(plan_of(data), media_type="image/jpeg"),
        replace(plan_of(data), size=4999),
    ):
        with pytest.raises(KefuError) as raised:
            await send(uploads, plan, other)
        assert raised.value.reason is Reason.UPLOAD_MISMATCH
    await send(uploads, plan_of(data), data)
    read = await uploads.read("acme", "u-1")
    assert read is not None
    assert read.data == data


async def test_two_streams_of_one_upload_end_well_or_are_refused(uploads: ObjectUploads) -> None:
    data = file_of(2 * MIB + 10)
    plan = plan_of(data)
    results = await asyncio.gather(
        *(send(uploads, plan, data, chunk=chunk) for chunk in (50_000, 70_000, 333_333)),
        return_exceptions=True,
    )
    for result in results:
        assert result is None or isinstance(result, KefuError)
    await send(uploads, plan, data)
    read = await uploads.read("acme", "u-1")
    assert read is not None
    assert read.data == data


async def test_a_deleted_upload_is_gone_and_its_id_is_free(
    uploads: ObjectUploads, objects: Objects
) -> None:
    data, other = file_of(5000), file_of(6000, seed=1)
    await send(uploads, plan_of(data), data)
    await uploads.delete("acme", "u-1")
    await uploads.delete("acme", "u-1")
    assert await uploads.find("acme", "u-1") is None
    assert await uploads.read("acme", "u-1") is None
    assert await objects.sizes("uploads/files") == await objects.sizes("uploads/plans") == {}
    await send(uploads, plan_of(other), other)
    read = await uploads.read("acme", "u-1")
    assert read is not None
    assert read.data == other


async def test_tenants_and_ids_stay_apart(uploads: ObjectUploads) -> None:
    data = file_of(5000)
    await send(uploads, plan_of(data, ".."), data, tenant="acme")
    for tenant, upload_id in (("other", ".."), ("acme", "."), ("", ".."), ("acme", "..:")):
        assert await uploads.find(tenant, upload_id) is None
        assert await uploads.read(tenant, upload_id) is None
        await uploads.delete(tenant, upload_id)
    assert await uploads.read("acme", "..") is not None


async def test_an_upload_ends_with_its_time(
    uploads: ObjectUploads, objects: Objects, clock: Clock
) -> None:
    data = file_of(5000)
    await send(uploads, plan_of(data), data)
    with pytest.raises(ConnectionResetError):
        await send(uploads, plan_of(data, "u-2"), data, until=1000)
    clock.advance(7199)
    assert await uploads.expire() == 0
    assert await uploads.find("acme", "u-1") is not None
    clock.advance(2)
    assert await uploads.find("acme", "u-1") is None, "gone, swept away or not"
    assert await uploads.read("acme", "u-1") is None
    clock.advance(3600)
    assert await uploads.expire() == 2
    assert await uploads.expire() == 0
    assert await objects.sizes("uploads") == {}


async def test_an_id_used_again_after_its_time_is_not_swept_away(
    uploads: ObjectUploads, clock: Clock
) -> None:
    data, other = file_of(5000), file_of(6000, seed=1)
    await send(uploads, plan_of(data), data)
    clock.advance(7201)
    await send(uploads, plan_of(other), other)
    clock.advance(3600)
    assert await uploads.expire() == 0
    read = await uploads.read("acme", "u-1")
    assert read is not None
    assert read.data == other


async def test_a_tenant_has_so_many_uploads_and_no_more(uploads: ObjectUploads) -> None:
    data = file_of(10)
    for number in range(3):
        await send(uploads, plan_of(data, f"u-{number}"), data)
    with pytest.raises(KefuError) as raised:
        await send(uploads, plan_of(data, "u-3"), data)
    assert raised.value.reason is Reason.QUOTA_EXCEEDED
    await send(uploads, plan_of(data, "u-2"), data)
    await send(uploads, plan_of(data, "u-3"), data, tenant="other")
    await uploads.delete("acme", "u-0")
    await send(uploads, plan_of(data, "u-3"), data)
