"""Services whose feature is not there yet: their methods say so with a reason, instead of being unknown."""

from __future__ import annotations

from typing import NoReturn

import grpc

from kefu.chat.v1 import session_service_pb2 as session
from kefu.chat.v1 import session_service_pb2_grpc
from kefu.media.v1 import media_service_pb2 as media
from kefu.media.v1 import media_service_pb2_grpc
from kefu_common.errors import KefuError, Reason


def _not_there(method: str) -> NoReturn:
    raise KefuError(Reason.NOT_IMPLEMENTED, f"{method} is not there in this version", method=method)


class SessionServicer(session_service_pb2_grpc.SessionServiceServicer):
    async def GetSession(
        self, request: session.GetSessionRequest, context: grpc.aio.ServicerContext
    ) -> session.GetSessionResponse:
        _not_there("GetSession")

    async def ListTurns(
        self, request: session.ListTurnsRequest, context: grpc.aio.ServicerContext
    ) -> session.ListTurnsResponse:
        _not_there("ListTurns")

    async def ExportSession(
        self, request: session.ExportSessionRequest, context: grpc.aio.ServicerContext
    ) -> session.ExportSessionResponse:
        _not_there("ExportSession")

    async def DeleteSession(
        self, request: session.DeleteSessionRequest, context: grpc.aio.ServicerContext
    ) -> session.DeleteSessionResponse:
        _not_there("DeleteSession")


class MediaServicer(media_service_pb2_grpc.MediaServiceServicer):
    async def Upload(
        self, request_iterator: object, context: grpc.aio.ServicerContext
    ) -> media.UploadResponse:
        _not_there("Upload")

    async def GetUpload(
        self, request: media.GetUploadRequest, context: grpc.aio.ServicerContext
    ) -> media.GetUploadResponse:
        _not_there("GetUpload")

    async def DeleteUpload(
        self, request: media.DeleteUploadRequest, context: grpc.aio.ServicerContext
    ) -> media.DeleteUploadResponse:
        _not_there("DeleteUpload")
