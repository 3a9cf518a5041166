"""MediaService as its callers see it."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import grpc
import pytest

from kefu.media.v1 import media_service_pb2 as pb
from kefu_common.errors import KefuError, Reason
from kefu_common.status import from_call_error
from kefu_gateway.adapters.stores.uploads import ObjectUploads
from tests.contract.stores.builders import Clock

DATA = random.Random(7).randbytes(2_500_000)
CHUNK = 1024 * 1024
TENANT = (("tenant", "acme"),)


def start(data: bytes = DATA, **changes: Any) -> pb.UploadRequest:
    fields: dict[str, Any] = {
        "upload_id": "u-1",
        "media_type": "image/jpeg",
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    return pb.UploadRequest(start=pb.UploadStart(**fields | changes))


def chunks(data: bytes = DATA, offset: int = 0, chunk: int = CHUNK) -> list[pb.UploadRequest]:
    return [
        pb.UploadRequest(chunk=pb.UploadChunk(offset=at, data=data[at : at + chunk]))
        for at in range(offset, len(data), chunk)
    ]


async def stream(requests: list[pb.UploadRequest]) -> AsyncIterator[pb.UploadRequest]:
    for request in requests:
        yield request


async def upload(media: Any, requests: list[pb.UploadRequest]) -> pb.UploadStatus:
    response = await media.Upload(stream(requests), metadata=TENANT, timeout=60)
    status: pb.UploadStatus = response.status
    return status


async def refused(call: Awaitable[Any]) -> KefuError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    error = from_call_error(raised.value)
    assert error is not None
    return error


async def get(media: Any, upload_id: str = "u-1") -> pb.UploadStatus:
    request = pb.GetUploadRequest(upload_id=upload_id)
    status: pb.UploadStatus = (await media.GetUpload(request, metadata=TENANT)).status
    return status


async def test_a_file_is_uploaded_in_chunks(
    media: Any, uploads: ObjectUploads, clock: Clock
) -> None:
    status = await upload(media, [start(), *chunks()])
    assert (status.upload_id, status.complete) == ("u-1", True)
    assert status.received_bytes == status.size == len(DATA)
    assert status.expire_time.ToMicroseconds() == round((clock() + 86_400) * 1e6)
    assert await get(media) == status
    call = media.Download(pb.DownloadRequest(upload_id="u-1"), metadata=TENANT)
    got = [response async for response in call]
    assert b"".join(response.chunk.data for response in got) == DATA
    assert (got[0].media_type, got[0].size) == ("image/jpeg", len(DATA))
    read = await uploads.read("acme", "u-1")
    assert read is not None
    assert (read.media_type, read.data) == ("image/jpeg", DATA)
    assert await upload(media, [start()]) == status, "idempotent"


async def test_the_server_chooses_an_id(media: Any) -> None:
    status = await upload(media, [start(upload_id=""), *chunks()])
    assert len(status.upload_id) == 32
    assert (await get(media, status.upload_id)).complete


async def test_a_broken_stream_goes_on_from_the_offset(media: Any, uploads: ObjectUploads) -> None:
    sent = 1_200_000

    async def breaks_off() -> AsyncIterator[pb.UploadRequest]:
        yield start()
        for chunk in chunks(DATA[:sent], chunk=400_000):
            yield chunk
        await asyncio.Event().wait()

    call = media.Upload(breaks_off(), metadata=TENANT)
    async with asyncio.timeout(60):
        # The third chunk fills a MiB, and with it goes all that has arrived.
        while await received_by(uploads) < sent:
            await asyncio.sleep(0.01)
    call.cancel()
    status = await get(media)
    assert (status.received_bytes, status.complete) == (sent, False)
    assert (await upload(media, [start(), *chunks(offset=sent)])).complete


async def received_by(uploads: ObjectUploads) -> int:
    found = await uploads.find("acme", "u-1")
    return found.received if found else 0


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"size": 3 * 1024 * 1024 + 1}, Reason.PICTURE_TOO_LARGE, "start.size"),
        ({"size": 2**63}, Reason.PICTURE_TOO_LARGE, "start.size"),
        ({"size": 0}, Reason.FIELD_INVALID, "start.size"),
        ({"sha256": "A" * 64}, Reason.FIELD_INVALID, "start.sha256"),
        ({"sha256": ""}, Reason.FIELD_INVALID, "start.sha256"),
        ({"media_type": "text/html"}, Reason.FIELD_INVALID, "start.media_type"),
        ({"media_type": ""}, Reason.FIELD_INVALID, "start.media_type"),
        ({"upload_id": "../x"}, Reason.FIELD_INVALID, "start.upload_id"),
        ({"upload_id": "x" * 129}, Reason.FIELD_INVALID, "start.upload_id"),
    ],
)
async def test_an_upload_is_refused_before_a_byte_of_it(
    media: Any, changes: dict[str, Any], reason: Reason, field: str
) -> None:
    error = await refused(upload(media, [start(**changes)]))
    assert (error.reason, error.field) == (reason, field)
    if reason is Reason.PICTURE_TOO_LARGE:
        assert error.metadata["limit"] == str(3 * 1024 * 1024)
        assert error.metadata["got"] == str(changes["size"])


@pytest.mark.parametrize("chunk", [b"", b"x" * (CHUNK + 1)])
async def test_a_chunk_has_its_limits(media: Any, chunk: bytes) -> None:
    wrong = pb.UploadRequest(chunk=pb.UploadChunk(offset=0, data=chunk))
    error = await refused(upload(media, [start(), wrong]))
    assert (error.reason, error.field) == (Reason.FIELD_INVALID, "chunk.data")


async def test_a_file_may_end_in_a_chunk_of_one_byte(media: Any) -> None:
    data = DATA[:1001]
    status = await upload(media, [start(data), *chunks(data, chunk=1000)])
    assert status.complete


async def test_messages_come_in_their_order(media: Any) -> None:
    for requests, field in (
        ([], "start"),
        (chunks(), "start"),
        ([pb.UploadRequest()], "start"),
        ([start(), start()], "chunk"),
        ([start(), pb.UploadRequest()], "chunk"),
    ):
        error = await refused(upload(media, requests))
        assert (error.reason, error.field) == (Reason.FIELD_INVALID, field)


async def test_what_does_not_fit_is_a_mismatch(media: Any) -> None:
    gap = await refused(upload(media, [start(), *chunks()[1:]]))
    assert (gap.reason, gap.metadata["expected_offset"]) == (Reason.UPLOAD_MISMATCH, "0")
    short = await refused(upload(media, [start(), *chunks()[:1]]))
    assert (short.reason, short.metadata["expected_offset"]) == (Reason.UPLOAD_MISMATCH, str(CHUNK))
    other = await refused(upload(media, [start(b"another file"), *chunks(b"another file")]))
    assert other.reason is Reason.UPLOAD_MISMATCH
    lie = start(upload_id="u-2", sha256=hashlib.sha256(b"").hexdigest())
    wrong = await refused(upload(media, [lie, *chunks()]))
    assert (wrong.reason, wrong.metadata["expected_offset"]) == (Reason.UPLOAD_MISMATCH, "0")


async def test_what_is_not_there_is_not_found(media: Any) -> None:
    error = await refused(get(media, "unknown"))
    assert error.reason is Reason.UPLOAD_NOT_FOUND
    assert error.metadata["upload_id"] == "unknown"
    assert (await refused(get(media, ".." * 65))).field == "upload_id"
    assert (await refused(media.DeleteUpload(pb.DeleteUploadRequest()))).field == "upload_id"


async def test_a_deleted_upload_is_gone(media: Any) -> None:
    await upload(media, [start(), *chunks()])
    for _ in range(2):
        await media.DeleteUpload(pb.DeleteUploadRequest(upload_id="u-1"), metadata=TENANT)
    assert (await refused(get(media))).reason is Reason.UPLOAD_NOT_FOUND


async def test_another_tenant_sees_nothing(media: Any, uploads: ObjectUploads) -> None:
    await upload(media, [start(), *chunks()])
    request = pb.GetUploadRequest(upload_id="u-1")
    error = await refused(media.GetUpload(request, metadata=(("tenant", "other"),)))
    assert error.reason is Reason.UPLOAD_NOT_FOUND
    await media.DeleteUpload(
        pb.DeleteUploadRequest(upload_id="u-1"), metadata=(("tenant", "other"),)
    )
    assert (await get(media)).complete
