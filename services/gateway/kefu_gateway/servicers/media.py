"""MediaService: translates between the wire and the upload store; decides nothing."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable

import grpc
from google.protobuf import timestamp_pb2

from kefu.media.v1 import media_service_pb2 as pb
from kefu.media.v1 import media_service_pb2_grpc as pb_grpc
from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.uploads import (
    Upload,
    UploadLimits,
    UploadPlan,
    UploadStore,
    check_chunk,
    check_plan,
    check_upload_id,
)

_CHUNK_BYTES = 256 * 1024


class MediaServicer(pb_grpc.MediaServiceServicer):
    """`tenant_of(context)` says whose uploads the caller sees."""

    def __init__(
        self,
        uploads: UploadStore,
        limits: UploadLimits,
        tenant_of: Callable[[grpc.aio.ServicerContext], str] = lambda context: "",
        received: Callable[[int], None] = lambda size: None,
    ) -> None:
        """`received` is told of the bytes of every upload that became whole."""
        self._uploads = uploads
        self._limits = limits
        self._tenant_of = tenant_of
        self._received = received

    async def Upload(
        self, request_iterator: AsyncIterator[pb.UploadRequest], context: grpc.aio.ServicerContext
    ) -> pb.UploadResponse:
        plan = _plan(await anext(aiter(request_iterator), pb.UploadRequest()))
        check_plan(plan, self._limits)
        async with self._uploads.receive(self._tenant_of(context), plan) as reception:
            if not reception.upload.complete:
                async for request in request_iterator:
                    if request.WhichOneof("content") != "chunk":
                        raise KefuError(
                            Reason.FIELD_INVALID,
                            "after the first message, every one is a chunk",
                            field="chunk",
                        )
                    check_chunk(request.chunk.data, self._limits)
                    await reception.append(request.chunk.offset, request.chunk.data)
                upload = await reception.finish()
                self._received(upload.plan.size)
            else:
                upload = await reception.finish()
            return pb.UploadResponse(status=_status(upload))

    async def GetUpload(
        self, request: pb.GetUploadRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetUploadResponse:
        check_upload_id(request.upload_id, "upload_id")
        upload = await self._uploads.find(self._tenant_of(context), request.upload_id)
        if upload is None:
            raise _not_found(request.upload_id)
        return pb.GetUploadResponse(status=_status(upload))

    async def Download(
        self, request: pb.DownloadRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.DownloadResponse]:
        check_upload_id(request.upload_id, "upload_id")
        file = await self._uploads.read(self._tenant_of(context), request.upload_id)
        if file is None:
            raise _not_found(request.upload_id)
        for offset in range(0, len(file.data), _CHUNK_BYTES):
            data = file.data[offset : offset + _CHUNK_BYTES]
            response = pb.DownloadResponse(chunk=pb.UploadChunk(offset=offset, data=data))
            if offset == 0:
                response.media_type, response.size = file.media_type, len(file.data)
            yield response

    async def DeleteUpload(
        self, request: pb.DeleteUploadRequest, context: grpc.aio.ServicerContext
    ) -> pb.DeleteUploadResponse:
        check_upload_id(request.upload_id, "upload_id")
        await self._uploads.delete(self._tenant_of(context), request.upload_id)
        return pb.DeleteUploadResponse()


def _not_found(upload_id: str) -> KefuError:
    return KefuError(
        Reason.UPLOAD_NOT_FOUND,
        "there is no such upload, or its time to live is over",
        upload_id=upload_id,
    )


def _plan(first: pb.UploadRequest) -> UploadPlan:
    if first.WhichOneof("content") != "start":
        raise KefuError(
            Reason.FIELD_INVALID,
            "the first message says what the upload will be",
            field="start",
        )
    start = first.start
    return UploadPlan(
        upload_id=start.upload_id or uuid.uuid4().hex,
        media_type=start.media_type,
        size=start.size,
        sha256=start.sha256,
    )


def _status(upload: Upload) -> pb.UploadStatus:
    expires = timestamp_pb2.Timestamp()
    expires.FromMicroseconds(round(upload.expires_at * 1_000_000))
    return pb.UploadStatus(
        upload_id=upload.plan.upload_id,
        received_bytes=upload.received,
        size=upload.plan.size,
        complete=upload.complete,
        expire_time=expires,
    )
