"""From an error's reason to gRPC status, and back: one table (google.rpc error model, AIP-193).

Outgoing: `to_status(error)` carries ErrorInfo and the detail that fits the code. Incoming: `from_call_error(error)`
reads the same details from a status that another of our processes sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from kefu_common.errors import KefuError, Reason

DOMAIN = "kefu.dev"

CODES: Mapping[Reason, grpc.StatusCode] = {
    Reason.TURN_EMPTY: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.TOO_MANY_PARTS: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.TOO_MANY_PICTURES: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.FIELD_INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.SETTING_INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.SCHEMA_INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.PROMPT_TOO_LONG: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.MODEL_UNKNOWN: grpc.StatusCode.NOT_FOUND,
    Reason.PICTURE_EMPTY: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.PICTURE_TOO_LARGE: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.PICTURE_TOO_MANY_PIXELS: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.PICTURE_FORMAT_UNSUPPORTED: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.PICTURE_MEDIA_TYPE_MISMATCH: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.PICTURE_DAMAGED: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.PICTURE_SOURCE_DISABLED: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.PICTURE_FETCH_FAILED: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.PICTURE_TOO_SLOW: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.UPLOAD_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.UPLOAD_MISMATCH: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.SESSION_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.REQUEST_ID_CONFLICT: grpc.StatusCode.ALREADY_EXISTS,
    Reason.TURN_CANCELLED: grpc.StatusCode.ABORTED,
    Reason.TURN_INTERRUPTED: grpc.StatusCode.UNAVAILABLE,
    Reason.CREDENTIAL_INVALID: grpc.StatusCode.UNAUTHENTICATED,
    Reason.PERMISSION_DENIED: grpc.StatusCode.PERMISSION_DENIED,
    Reason.QUOTA_EXCEEDED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.IDENTITY_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Reason.OVERLOADED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.DRAINING: grpc.StatusCode.UNAVAILABLE,
    Reason.MODEL_SERVER_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Reason.MODEL_NOT_READY: grpc.StatusCode.UNAVAILABLE,
    Reason.PREPROCESS_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Reason.STORE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Reason.DEADLINE_EXCEEDED: grpc.StatusCode.DEADLINE_EXCEEDED,
    Reason.NOT_IMPLEMENTED: grpc.StatusCode.UNIMPLEMENTED,
    Reason.INTERNAL: grpc.StatusCode.INTERNAL,
}

# Seconds after which a caller may come back when the error itself does not say.
DEFAULT_RETRY_AFTER: Mapping[Reason, float] = {
    Reason.QUOTA_EXCEEDED: 1.0,
    Reason.IDENTITY_UNAVAILABLE: 2.0,
    Reason.OVERLOADED: 0.5,
    Reason.DRAINING: 0.1,
    Reason.TURN_INTERRUPTED: 1.0,
    Reason.MODEL_SERVER_UNAVAILABLE: 2.0,
    Reason.MODEL_NOT_READY: 5.0,
    Reason.PREPROCESS_UNAVAILABLE: 1.0,
    Reason.STORE_UNAVAILABLE: 1.0,
}

# The kind of thing that was not found, and the metadata key that names it.
_RESOURCES: Mapping[Reason, tuple[str, str]] = {
    Reason.MODEL_UNKNOWN: ("kefu.dev/Model", "model"),
    Reason.UPLOAD_NOT_FOUND: ("kefu.dev/Upload", "upload_id"),
    Reason.SESSION_NOT_FOUND: ("kefu.dev/Session", "session_id"),
}


def to_status(error: KefuError) -> status_pb2.Status:
    """The status to send: code, sentence, ErrorInfo, and the detail that fits."""
    metadata = dict(error.metadata)
    if error.field is not None:
        metadata["field"] = error.field
    details = [
        error_details_pb2.ErrorInfo(reason=error.reason.value, domain=DOMAIN, metadata=metadata)
    ]
    code = CODES[error.reason]
    if error.field is not None:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=error.message, reason=error.reason.value
        )
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.reason in _RESOURCES:
        kind, key = _RESOURCES[error.reason]
        details.append(
            error_details_pb2.ResourceInfo(
                resource_type=kind,
                resource_name=metadata.get(key, ""),
                description=error.message,
            )
        )
    if error.reason is Reason.QUOTA_EXCEEDED:
        quota = error_details_pb2.QuotaFailure.Violation(
            subject=metadata.get("subject", ""),
            description=error.message,
            quota_id=metadata.get("quota", ""),
        )
        details.append(error_details_pb2.QuotaFailure(violations=[quota]))
    seconds = retry_after(error)
    if seconds is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(seconds * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    packed = []
    for detail in details:
        holder = any_pb2.Any()
        holder.Pack(detail)
        packed.append(holder)
    number = code_pb2.Code.Value(code.name)
    return status_pb2.Status(code=number, message=error.message, details=packed)


def retry_after(error: KefuError) -> float | None:
    """Seconds after which the caller may come back; None where that would not help."""
    if error.retry_after is not None:
        return error.retry_after
    return DEFAULT_RETRY_AFTER.get(error.reason)


def to_rpc_status(error: KefuError) -> grpc.Status:
    """The same as `context.abort_with_status` takes it."""
    return rpc_status.to_status(to_status(error))


def from_call_error(error: grpc.RpcError) -> KefuError | None:
    """The KefuError inside a failed call, or None where the status is not one of ours."""
    metadata: Any = error.trailing_metadata() or ()
    for key, value in metadata:
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
            return _from_status(status)
    return None


def _from_status(status: status_pb2.Status) -> KefuError | None:
    info = error_details_pb2.ErrorInfo()
    retry = error_details_pb2.RetryInfo()
    found = False
    retry_after: float | None = None
    for detail in status.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            detail.Unpack(info)
            found = info.domain == DOMAIN
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            detail.Unpack(retry)
            retry_after = retry.retry_delay.ToMilliseconds() / 1000
    if not found or info.reason not in Reason.__members__:
        return None
    metadata = dict(info.metadata)
    field = metadata.pop("field", None)
    return KefuError(
        Reason(info.reason), status.message, field=field, retry_after=retry_after, **metadata
    )
