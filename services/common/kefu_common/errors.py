"""Errors as values of the domain: a reason, a sentence, and facts. No gRPC here.

    raise KefuError(Reason.PICTURE_EMPTY, "the picture has no bytes", field="question.parts[0].picture.data")

`kefu_common.status` turns them into gRPC status at the edge. Each reason is documented with an example payload in
`protos/kefu/errors/v1/error_reason.proto`; a test keeps this enum and that file equal.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a call failed: the names of kefu.errors.v1.ErrorReason without their prefix."""

    TURN_EMPTY = "TURN_EMPTY"
    TOO_MANY_PARTS = "TOO_MANY_PARTS"
    TOO_MANY_PICTURES = "TOO_MANY_PICTURES"
    FIELD_INVALID = "FIELD_INVALID"
    SETTING_INVALID = "SETTING_INVALID"
    SCHEMA_INVALID = "SCHEMA_INVALID"
    PROMPT_TOO_LONG = "PROMPT_TOO_LONG"
    MODEL_UNKNOWN = "MODEL_UNKNOWN"

    PICTURE_EMPTY = "PICTURE_EMPTY"
    PICTURE_TOO_LARGE = "PICTURE_TOO_LARGE"
    PICTURE_TOO_MANY_PIXELS = "PICTURE_TOO_MANY_PIXELS"
    PICTURE_FORMAT_UNSUPPORTED = "PICTURE_FORMAT_UNSUPPORTED"
    PICTURE_MEDIA_TYPE_MISMATCH = "PICTURE_MEDIA_TYPE_MISMATCH"
    PICTURE_DAMAGED = "PICTURE_DAMAGED"
    PICTURE_SOURCE_DISABLED = "PICTURE_SOURCE_DISABLED"
    PICTURE_FETCH_FAILED = "PICTURE_FETCH_FAILED"
    PICTURE_TOO_SLOW = "PICTURE_TOO_SLOW"

    UPLOAD_NOT_FOUND = "UPLOAD_NOT_FOUND"
    UPLOAD_MISMATCH = "UPLOAD_MISMATCH"
    SESSION_NOT_FOUND = "SESSION_NOT_FOUND"
    REQUEST_ID_CONFLICT = "REQUEST_ID_CONFLICT"
    TURN_CANCELLED = "TURN_CANCELLED"
    TURN_INTERRUPTED = "TURN_INTERRUPTED"

    CREDENTIAL_INVALID = "CREDENTIAL_INVALID"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    IDENTITY_UNAVAILABLE = "IDENTITY_UNAVAILABLE"

    OVERLOADED = "OVERLOADED"
    DRAINING = "DRAINING"
    MODEL_SERVER_UNAVAILABLE = "MODEL_SERVER_UNAVAILABLE"
    MODEL_NOT_READY = "MODEL_NOT_READY"
    PREPROCESS_UNAVAILABLE = "PREPROCESS_UNAVAILABLE"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"

    NOT_IMPLEMENTED = "NOT_IMPLEMENTED"
    INTERNAL = "INTERNAL"


class KefuError(Exception):
    """A failure that the caller is told of.

    `message` is a whole sentence for a person and never holds another library's words. `field` names what is wrong in
    the request, as a path ("question.parts[0].picture.data"). `retry_after` is in seconds; `metadata` goes out as is.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        field: str | None = None,
        retry_after: float | None = None,
        **metadata: str | int,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field
        self.retry_after = retry_after
        self.metadata = {key: str(value) for key, value in metadata.items()}

    def at(self, field: str) -> KefuError:
        """The same error, told of another field: a sidecar knows "data", its caller knows which part that was."""
        return KefuError(
            self.reason, self.message, field=field, retry_after=self.retry_after, **self.metadata
        )
