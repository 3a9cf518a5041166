"""Uploads as values with their limits, and the port to where they are kept.

A file comes in chunks; a broken stream leaves what arrived, and the caller goes on from there. Only when every byte is
there and has the promised SHA-256 is the upload complete, and only then can a question name it.
"""

from __future__ import annotations

import re
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.question import IDENTIFIER, MEDIA_TYPES

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """Bytes of a file and of one chunk; how long an upload is kept, in seconds from its start; how many a tenant may
    have at once."""

    file_bytes: int = 20 * 1024 * 1024
    chunk_bytes: int = 1024 * 1024
    seconds_to_live: float = 86_400.0
    uploads_per_tenant: int = 1000
    media_types: tuple[str, ...] = (*MEDIA_TYPES, "application/pdf")


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPlan:
    """What an upload will be: its size in bytes and its SHA-256 in hexadecimal digits, both promised."""

    upload_id: str
    media_type: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What is there of an upload. `expires_at`: seconds since the epoch."""

    plan: UploadPlan
    received: int
    complete: bool
    expires_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedFile:
    """A complete upload."""

    media_type: str
    data: bytes


class Reception(Protocol):
    """Receives the bytes of one upload. What was received is kept when it is left early, whatever the reason."""

    @property
    def upload(self) -> Upload:
        """What is there, with what has been appended."""
        ...

    async def append(self, offset: int, data: bytes) -> None:
        """The next bytes. Bytes of a complete upload are passed over. Raises KefuError(UPLOAD_MISMATCH) where they do
        not continue it, or go beyond the promised size."""
        ...

    async def finish(self) -> Upload:
        """The complete upload. Raises KefuError(UPLOAD_MISMATCH) where bytes are missing, or the hash is another: then
        everything received is dropped."""
        ...


class UploadStore(Protocol):
    """Keeps uploads, each tenant's apart. Every method may raise KefuError(STORE_UNAVAILABLE)."""

    def receive(self, tenant: str, plan: UploadPlan) -> AbstractAsyncContextManager[Reception]:
        """Begins an upload, or goes on with it. Raises KefuError: UPLOAD_MISMATCH where another file was begun under
        this id, QUOTA_EXCEEDED."""
        ...

    async def find(self, tenant: str, upload_id: str) -> Upload | None: ...

    async def read(self, tenant: str, upload_id: str) -> UploadedFile | None:
        """The file, where the upload is complete."""
        ...

    async def delete(self, tenant: str, upload_id: str) -> None: ...

    async def expire(self) -> int:
        """Deletes the uploads that have outlived their time; how many."""
        ...


def check_plan(plan: UploadPlan, limits: UploadLimits) -> None:
    """Refuses an upload before a byte of it is received. Raises KefuError naming the field."""
    check_upload_id(plan.upload_id, "start.upload_id")
    if plan.media_type not in limits.media_types:
        raise KefuError(
            Reason.FIELD_INVALID,
            f"uploads of this media type are not accepted; send one of {', '.join(limits.media_types)}",
            field="start.media_type",
            allowed=",".join(limits.media_types),
        )
    if plan.size > limits.file_bytes:
        raise KefuError(
            Reason.PICTURE_TOO_LARGE,
            f"the upload has {plan.size} bytes; at most {limits.file_bytes} are allowed",
            field="start.size",
            limit=limits.file_bytes,
            got=plan.size,
            unit="bytes",
        )
    if plan.size < 1:
        raise KefuError(Reason.FIELD_INVALID, "an upload has at least one byte", field="start.size")
    if not _SHA256.fullmatch(plan.sha256):
        raise KefuError(
            Reason.FIELD_INVALID,
            "sha256 has 64 lower-case hexadecimal digits",
            field="start.sha256",
        )


def check_upload_id(upload_id: str, field: str) -> None:
    """Raises KefuError(FIELD_INVALID)."""
    if not IDENTIFIER.fullmatch(upload_id):
        raise KefuError(
            Reason.FIELD_INVALID,
            f"{field} must have 1 to 128 of the characters A-Z a-z 0-9 . _ : -",
            field=field,
        )


def check_chunk(data: bytes, limits: UploadLimits) -> None:
    """Raises KefuError(FIELD_INVALID)."""
    if not 1 <= len(data) <= limits.chunk_bytes:
        raise KefuError(
            Reason.FIELD_INVALID,
            f"a chunk has 1 to {limits.chunk_bytes} bytes; this one has {len(data)}",
            field="chunk.data",
            limit=limits.chunk_bytes,
            got=len(data),
            unit="bytes",
        )
