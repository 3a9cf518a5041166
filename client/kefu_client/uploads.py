"""Uploads: a file in chunks, checked by its hash, going on where a broken stream left off."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc

from kefu.media.v1.media_service_pb2 import (
    DownloadRequest,
    GetUploadRequest,
    UploadChunk,
    UploadRequest,
    UploadStart,
    UploadStatus,
)
from kefu.media.v1.media_service_pb2_grpc import MediaServiceStub
from kefu_client.caller import SMALL_CALL_SECONDS, Caller
from kefu_client.errors import InputError, KefuCallError
from kefu_client.formats import media_type_of

# Of media_service.proto; a server may take more, which it says as `Limits.picture_bytes`.
UPLOAD_BYTES = 20 * 1024 * 1024
# A quarter of what a message may carry: a slow line shows progress, a fast one does not notice.
CHUNK_BYTES = 256 * 1024
# 20 MiB over a line of 300 kbit/s.
UPLOAD_SECONDS = 600.0
# Before the first repetition where the server does not say when; doubled with each that brings nothing new.
_FIRST_PAUSE_SECONDS = 0.2

OnProgress = Callable[[int, int], None]


class Uploads:
    """The calls of MediaService; `KefuClient.upload` and `download` document them."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._stub: Any = MediaServiceStub(caller.channel)

    def send(
        self,
        source: str | os.PathLike[str] | bytes,
        *,
        media_type: str,
        on_progress: OnProgress | None,
        timeout: float,
    ) -> UploadStatus:
        data = self._read(source)
        transfer = _Transfer(_start_of(data, media_type, _name(source)), data, on_progress)
        deadline = time.monotonic() + timeout
        failures = 0
        reached = 0
        while True:
            try:
                return self._once(transfer, deadline)
            except KefuCallError as error:
                # What brings the file forward may break as often as it likes.
                failures = 1 if transfer.offset > reached else failures + 1
                reached = max(reached, transfer.offset)
                pause = _pause(error, failures)
                if (
                    pause is None
                    or failures >= self._caller.attempts
                    or time.monotonic() + pause > deadline
                ):
                    raise
                if self._caller.on_retry is not None:
                    self._caller.on_retry(error, pause)
                time.sleep(pause)

    def fetch(self, upload_id: str, *, timeout: float) -> bytes:
        call = self._stub.Download(
            DownloadRequest(upload_id=upload_id),
            timeout=timeout,
            metadata=self._caller.metadata(),
        )
        data = bytearray()
        try:
            for response in call:
                data += response.chunk.data
        except grpc.RpcError as failure:
            raise KefuCallError.of(failure) from failure
        return bytes(data)

    def _once(self, transfer: _Transfer, deadline: float) -> UploadStatus:
        """Sends what is missing."""
        there = self._there(transfer.start.upload_id, deadline)
        if there is not None and there.complete:
            transfer.tell(len(transfer.data))
            return there
        transfer.offset = 0 if there is None else there.received_bytes
        call = self._stub.Upload.future(
            transfer.messages(),
            timeout=max(0.0, deadline - time.monotonic()),
            metadata=self._caller.metadata(),
        )
        try:
            status: UploadStatus = call.result().status
            return status
        except grpc.RpcError as failure:
            raise KefuCallError.of(failure) from failure
        finally:
            call.cancel()

    def _there(self, upload_id: str, deadline: float) -> UploadStatus | None:
        seconds = min(SMALL_CALL_SECONDS, max(0.0, deadline - time.monotonic()))
        try:
            status: UploadStatus = self._stub.GetUpload(
                GetUploadRequest(upload_id=upload_id),
                timeout=seconds,
                metadata=self._caller.metadata(),
            ).status
        except grpc.RpcError as failure:
            error = KefuCallError.of(failure)
            if error.reason == "UPLOAD_NOT_FOUND":
                return None
            raise error from failure
        return status

    def _read(self, source: str | os.PathLike[str] | bytes) -> bytes:
        if isinstance(source, bytes):
            self._check_size("the file", len(source))
            return source
        path = Path(source)
        # Looked at before it is read: a film given by mistake does not go through memory first.
        self._check_size(str(path), path.stat().st_size)
        return path.read_bytes()

    def _check_size(self, name: str, size: int) -> None:
        if size == 0:
            raise InputError(f"{name}: it is empty")
        if size <= UPLOAD_BYTES:
            return
        most = max(UPLOAD_BYTES, self._caller.limits().picture_bytes)
        if size > most:
            raise InputError(
                f"{name}: {size / 2**20:.1f} MiB is too large to upload (at most {most / 2**20:g} MiB): "
                "save it with fewer pixels, or as JPEG"
            )


class _Transfer:
    """One file on its way. `offset`: where the server has told to go on, in bytes."""

    def __init__(self, start: UploadStart, data: bytes, on_progress: OnProgress | None) -> None:
        self.start = start
        self.data = data
        self.offset = 0
        self._on_progress = on_progress

    def messages(self) -> Iterator[UploadRequest]:
        yield UploadRequest(start=self.start)
        for offset in range(self.offset, len(self.data), CHUNK_BYTES):
            self.tell(offset)
            piece = self.data[offset : offset + CHUNK_BYTES]
            yield UploadRequest(chunk=UploadChunk(offset=offset, data=piece))
        self.tell(len(self.data))

    def tell(self, sent: int) -> None:
        if self._on_progress is not None:
            self._on_progress(sent, len(self.data))


def _start_of(data: bytes, media_type: str, name: str) -> UploadStart:
    media_type = media_type or media_type_of(data)
    if not media_type:
        raise InputError(f"{name}: this is neither JPEG, PNG, WebP, BMP nor PDF")
    digest = hashlib.sha256(data).hexdigest()
    # The same file has the same id: what an earlier run has begun goes on, and what it has finished is not sent again.
    return UploadStart(
        upload_id=f"u-{digest[:32]}", media_type=media_type, size=len(data), sha256=digest
    )


def _pause(error: KefuCallError, failures: int) -> float | None:
    """Seconds until the upload may go on; None: it would fail again."""
    if error.retry_after is not None:
        return error.retry_after
    # INTERNAL: how gRPC tells of a stream that was reset. Another upload of the same file may have been faster: then
    # the server says which offset it expects.
    broken = not error.from_kefu and error.code in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.INTERNAL,
    )
    if broken or "expected_offset" in error.metadata:
        pause: float = _FIRST_PAUSE_SECONDS * 2 ** (failures - 1)
        return pause
    return None


def _name(source: str | os.PathLike[str] | bytes) -> str:
    return "the file" if isinstance(source, bytes) else str(source)
