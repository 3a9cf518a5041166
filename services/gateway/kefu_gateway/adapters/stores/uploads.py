"""Uploads in an object store, so that any gateway can go on with what another began.

    uploads/expiry/<hour>/<tenant>.<upload>      a marker: a sweep finds what is over without looking at what is not
    uploads/plans/<tenant>/<upload>              what was promised, and until when it is kept: without it there is none
    uploads/files/<tenant>/<upload>/part-<offset>  what has arrived, up to 1 MiB each
    uploads/files/<tenant>/<upload>/file         the whole: it is there when every byte is, with the right hash

Chunks are gathered in memory into parts. A stream that breaks leaves its last part short; the next one takes that part
up again and writes it anew, longer, so there are never more parts than MiB.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from kefu_common.errors import KefuError, Reason
from kefu_gateway.adapters.stores.objects import Objects, digest, sha256_of
from kefu_gateway.domain.uploads import Upload, UploadedFile, UploadLimits, UploadPlan
from kefu_gateway.wire.values import decode, encode

_FILES = "uploads/files"
_PLANS = "uploads/plans"
_EXPIRY = "uploads/expiry"
_PART_BYTES = 1024 * 1024
_HOUR_SECONDS = 3600


class ObjectUploads:
    """Implements `domain.uploads.UploadStore`."""

    def __init__(
        self, objects: Objects, limits: UploadLimits, *, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock`: seconds since the epoch."""
        self._objects = objects
        self._limits = limits
        self._clock = clock

    @asynccontextmanager
    async def receive(self, tenant: str, plan: UploadPlan) -> AsyncIterator[ObjectReception]:
        upload = await self._begin(tenant, plan)
        reception = await ObjectReception.open(
            self._objects, _folder(tenant, plan.upload_id), upload
        )
        try:
            yield reception
        finally:
            # Also, and above all, when the stream broke: shielded, because then this task is being cancelled.
            await asyncio.shield(asyncio.create_task(reception.flush()))

    async def find(self, tenant: str, upload_id: str) -> Upload | None:
        folder = _folder(tenant, upload_id)
        kept = await self._objects.get(_plan_path(tenant, upload_id))
        if kept is None:
            return None
        upload = _read_plan(kept)
        if upload.expires_at <= self._clock():
            return None
        there = await self._objects.sizes(folder)
        complete = f"{folder}/file" in there
        received = upload.plan.size if complete else sum(_parts(folder, there).values())
        return replace(upload, received=received, complete=complete)

    async def read(self, tenant: str, upload_id: str) -> UploadedFile | None:
        upload = await self.find(tenant, upload_id)
        if upload is None or not upload.complete:
            return None
        data = await self._objects.get(f"{_folder(tenant, upload_id)}/file")
        if data is None:
            return None
        return UploadedFile(media_type=upload.plan.media_type, data=data)

    async def delete(self, tenant: str, upload_id: str) -> None:
        await self._delete(f"{digest(tenant)}/{digest(upload_id)}")

    async def expire(self) -> int:
        now = self._clock()
        count = 0
        for hour in await self._objects.folders(_EXPIRY):
            # The whole hour is over: each upload in it has outlived its time.
            if (int(hour.rpartition("/")[2]) + 1) * _HOUR_SECONDS > now:
                continue
            for marker in await self._objects.sizes(hour):
                tenant, _, name = marker.rpartition("/")[2].partition(".")
                count += await self._expire_one(f"{tenant}/{name}", now)
                await self._objects.delete(marker)
        return count

    async def _expire_one(self, name: str, now: float) -> bool:
        kept = await self._objects.get(f"{_PLANS}/{name}")
        if kept is not None and _read_plan(kept).expires_at > now:
            return False  # the same id was used again since
        await self._delete(name)
        return kept is not None

    async def _delete(self, name: str) -> None:
        # The plan goes first: what is left behind it for a moment is no upload.
        await self._objects.delete(f"{_PLANS}/{name}")
        await self._objects.delete(*await self._objects.sizes(f"{_FILES}/{name}"))

    async def _begin(self, tenant: str, plan: UploadPlan) -> Upload:
        """The upload as it is, or a new one."""
        for _ in range(3):
            found = await self.find(tenant, plan.upload_id)
            if found is not None:
                if found.plan != plan:
                    raise KefuError(
                        Reason.UPLOAD_MISMATCH,
                        "another file was begun under this upload_id",
                        upload_id=plan.upload_id,
                    )
                return found
            await self._check_quota(tenant)
            new = Upload(
                plan=plan,
                received=0,
                complete=False,
                expires_at=self._clock() + self._limits.seconds_to_live,
            )
            if await self._objects.size(_plan_path(tenant, plan.upload_id)) is not None:
                await self.delete(tenant, plan.upload_id)  # it has outlived its time
            # The marker first: a plan without one would never be swept away.
            await self._objects.put(_marker(tenant, new), b"")
            document = json.dumps(encode(new)).encode()
            if await self._objects.create(_plan_path(tenant, plan.upload_id), document):
                return new
        # Another stream began it, and it was deleted, three times over.
        raise KefuError(
            Reason.UPLOAD_MISMATCH,
            "the upload is being begun and deleted elsewhere at the same time",
            upload_id=plan.upload_id,
        )

    async def _check_quota(self, tenant: str) -> None:
        held = len(await self._objects.sizes(f"{_PLANS}/{digest(tenant)}"))
        if held >= self._limits.uploads_per_tenant:
            raise KefuError(
                Reason.QUOTA_EXCEEDED,
                f"at most {self._limits.uploads_per_tenant} uploads are kept at a time; delete one first",
                retry_after=_HOUR_SECONDS,
                quota="uploads",
                limit=self._limits.uploads_per_tenant,
                subject=f"tenant:{tenant}",
            )


class ObjectReception:
    """Implements `domain.uploads.Reception`: one stream that brings an upload's bytes."""

    def __init__(self, objects: Objects, folder: str, upload: Upload) -> None:
        self._objects = objects
        self._folder = folder
        self._upload = upload
        self._part = bytearray()  # what is gathered for the next part
        self._part_offset = upload.received  # where that part begins
        self._kept = 0  # how much of it is already in the store

    @classmethod
    async def open(cls, objects: Objects, folder: str, upload: Upload) -> ObjectReception:
        """Takes up a short last part again."""
        self = cls(objects, folder, upload)
        if not upload.complete:
            parts = _parts(folder, await objects.sizes(folder))
            self._part_offset = sum(parts.values())
            last = max(parts, default=None)
            if last is not None and parts[last] < _PART_BYTES:
                self._part += await objects.get(_part_path(folder, last)) or b""
                self._part_offset, self._kept = last, len(self._part)
        return self

    @property
    def upload(self) -> Upload:
        if self._upload.complete:
            return self._upload
        return replace(self._upload, received=self._part_offset + len(self._part))

    async def append(self, offset: int, data: bytes) -> None:
        if self._upload.complete:
            return
        received, plan = self.upload.received, self._upload.plan
        if offset != received:
            raise self._mismatch("a chunk does not continue the upload", received)
        if received + len(data) > plan.size:
            raise self._mismatch("the upload has more bytes than it promised", received)
        self._part += data
        if len(self._part) >= _PART_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Keeps what is gathered: whole parts, and a short last one. Cancelled half way, it may be called again."""
        while len(self._part) > self._kept and not self._upload.complete:
            piece = bytes(self._part[:_PART_BYTES])
            await self._objects.put(_part_path(self._folder, self._part_offset), piece)
            self._kept = len(piece)
            if self._kept == _PART_BYTES:
                del self._part[:_PART_BYTES]
                self._part_offset += _PART_BYTES
                self._kept = 0

    async def finish(self) -> Upload:
        if self._upload.complete:
            return self._upload
        await self.flush()
        paths = await self._objects.sizes(self._folder)
        parts = _parts(self._folder, paths)
        received = sum(parts.values())
        plan = self._upload.plan
        if received < plan.size:
            raise self._mismatch("bytes of the upload are missing", received)
        pieces = [await self._objects.get(_part_path(self._folder, at)) for at in sorted(parts)]
        data = b"".join(piece or b"" for piece in pieces)
        if len(data) != plan.size or await sha256_of(data) != plan.sha256:
            await self._objects.delete(*(_part_path(self._folder, at) for at in parts))
            self._part, self._part_offset, self._kept = bytearray(), 0, 0
            raise self._mismatch("the bytes do not have the promised SHA-256; send them again", 0)
        await self._objects.put(f"{self._folder}/file", data)
        self._upload = replace(self._upload, received=plan.size, complete=True)
        await self._objects.delete(*(_part_path(self._folder, at) for at in parts))
        return self._upload

    def _mismatch(self, sentence: str, expected: int) -> KefuError:
        return KefuError(
            Reason.UPLOAD_MISMATCH,
            sentence,
            upload_id=self._upload.plan.upload_id,
            expected_offset=expected,
        )


def _folder(tenant: str, upload_id: str) -> str:
    return f"{_FILES}/{digest(tenant)}/{digest(upload_id)}"


def _plan_path(tenant: str, upload_id: str) -> str:
    return f"{_PLANS}/{digest(tenant)}/{digest(upload_id)}"


def _marker(tenant: str, upload: Upload) -> str:
    hour = int(upload.expires_at // _HOUR_SECONDS)
    return f"{_EXPIRY}/{hour:010d}/{digest(tenant)}.{digest(upload.plan.upload_id)}"


def _part_path(folder: str, offset: int) -> str:
    return f"{folder}/part-{offset:012d}"


def _parts(folder: str, there: dict[str, int]) -> dict[int, int]:
    """The parts that follow each other from the first byte on: offset, bytes. (Two streams at once can leave gaps.)"""
    prefix = f"{folder}/part-"
    found = {
        int(path[len(prefix) :]): size for path, size in there.items() if path.startswith(prefix)
    }
    parts: dict[int, int] = {}
    offset = 0
    while found.get(offset):
        parts[offset] = found[offset]
        offset += found[offset]
    return parts


def _read_plan(document: bytes) -> Upload:
    return decode(Upload, json.loads(document))
