"""What the fake gateway keeps in memory: sessions and uploads, served as a real one would."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from typing import Any, NoReturn

import grpc

from kefu.chat.v1 import session_service_pb2 as sessions
from kefu.chat.v1 import session_service_pb2_grpc
from kefu.media.v1 import media_service_pb2 as media
from kefu.media.v1 import media_service_pb2_grpc
from kefu_common.errors import KefuError, Reason
from kefu_common.status import to_rpc_status


def refuse(context: grpc.ServicerContext, error: KefuError) -> NoReturn:
    """Ends the call with an error of Kefu's."""
    context.abort_with_status(to_rpc_status(error))
    raise AssertionError("abort_with_status always raises")


class Sessions(session_service_pb2_grpc.SessionServiceServicer):
    """`turns`: of each session, by its id."""

    def __init__(self) -> None:
        self.turns: dict[str, list[sessions.Turn]] = {}

    def GetSession(
        self, request: Any, context: grpc.ServicerContext
    ) -> sessions.GetSessionResponse:
        turns = self._turns(request.session_id, context)
        session = sessions.Session(session_id=request.session_id, turns=len(turns))
        session.create_time.seconds = 1_700_000_000
        session.update_time.seconds = 1_700_000_100
        session.expire_time.seconds = 1_700_600_000
        return sessions.GetSessionResponse(session=session)

    def ListTurns(self, request: Any, context: grpc.ServicerContext) -> sessions.ListTurnsResponse:
        turns = self._turns(request.session_id, context)
        first = int(request.page_token or 0)
        last = first + (request.page_size or 20)
        more = str(last) if last < len(turns) else ""
        return sessions.ListTurnsResponse(turns=turns[first:last], next_page_token=more)

    def ExportSession(
        self, request: Any, context: grpc.ServicerContext
    ) -> sessions.ExportSessionResponse:
        count = len(self._turns(request.session_id, context))
        document = f'{{"session_id":"{request.session_id}","题":{count}}}'
        return sessions.ExportSessionResponse(json=document.encode())

    def DeleteSession(
        self, request: Any, context: grpc.ServicerContext
    ) -> sessions.DeleteSessionResponse:
        self.turns.pop(request.session_id, None)
        return sessions.DeleteSessionResponse()

    def _turns(self, session_id: str, context: grpc.ServicerContext) -> list[sessions.Turn]:
        if session_id not in self.turns:
            refuse(
                context,
                KefuError(Reason.SESSION_NOT_FOUND, "no such session", session_id=session_id),
            )
        return self.turns[session_id]


class Uploads(media_service_pb2_grpc.MediaServiceServicer):
    """Keeps what arrives, and breaks off where the test wants it.

    Attributes:
        received: the bytes of each upload so far.
        streams: the offsets of the chunks of each stream, one list a stream.
        breaks: for each of the next streams, after how many chunks it breaks and with which error.
    """

    def __init__(self) -> None:
        self.received: dict[str, bytes] = {}
        self.starts: dict[str, media.UploadStart] = {}
        self.streams: list[list[int]] = []
        self.breaks: deque[tuple[int, KefuError | grpc.StatusCode]] = deque()

    def Upload(
        self, requests: Iterator[media.UploadRequest], context: grpc.ServicerContext
    ) -> media.UploadResponse:
        start = next(requests).start
        after, failure = self.breaks.popleft() if self.breaks else (None, None)
        offsets: list[int] = []
        self.streams.append(offsets)
        self.starts[start.upload_id] = start
        for request in requests:
            if len(offsets) == after:
                break
            have = self.received.get(start.upload_id, b"")
            if request.chunk.offset != len(have):
                self._mismatch(start, context, expected=len(have))
            offsets.append(request.chunk.offset)
            self.received[start.upload_id] = have + request.chunk.data
        if failure is not None:
            if isinstance(failure, KefuError):
                refuse(context, failure)
            context.abort(failure, "the stream was cut")
        if hashlib.sha256(self.received[start.upload_id]).hexdigest() != start.sha256:
            self._mismatch(start, context)
        return media.UploadResponse(status=self._status(start.upload_id))

    def GetUpload(self, request: Any, context: grpc.ServicerContext) -> media.GetUploadResponse:
        if request.upload_id not in self.starts:
            refuse(context, KefuError(Reason.UPLOAD_NOT_FOUND, "no such upload", upload_id="u"))
        return media.GetUploadResponse(status=self._status(request.upload_id))

    def Download(
        self, request: Any, context: grpc.ServicerContext
    ) -> Iterator[media.DownloadResponse]:
        if request.upload_id not in self.starts:
            refuse(context, KefuError(Reason.UPLOAD_NOT_FOUND, "no such upload", upload_id="u"))
        data = self.received[request.upload_id]
        for offset in range(0, len(data), 1000):
            chunk = media.UploadChunk(offset=offset, data=data[offset : offset + 1000])
            yield media.DownloadResponse(chunk=chunk)

    def _status(self, upload_id: str) -> media.UploadStatus:
        size, received = self.starts[upload_id].size, len(self.received.get(upload_id, b""))
        status = media.UploadStatus(upload_id=upload_id, received_bytes=received, size=size)
        status.complete = received == size
        status.expire_time.seconds = 1_700_600_000
        return status

    def _mismatch(
        self, start: media.UploadStart, context: grpc.ServicerContext, expected: int | None = None
    ) -> NoReturn:
        metadata = {} if expected is None else {"expected_offset": str(expected)}
        error = KefuError(Reason.UPLOAD_MISMATCH, "does not fit", upload_id=start.upload_id)
        error.metadata |= metadata
        refuse(context, error)
