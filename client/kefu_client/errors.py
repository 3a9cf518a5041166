"""What can go wrong for a caller: `KefuCallError` for a call that failed, `InputError` for what was never sent.

try:
    answer = kefu.ask("多少钱?", picture("order.png"))
except KefuCallError as error:
    if error.reason == "PICTURE_DAMAGED":
        ask_the_customer_again(error.field)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from kefu_client import foreign

# The domain of the reasons in kefu.errors.v1.ErrorReason; a proxy on the way may send ErrorInfo of its own.
DOMAIN = "kefu.dev"
_DETAILS_KEY = "grpc-status-details-bin"


class InputError(ValueError):
    """Something that cannot be sent: a file that is too large, a setting of a wrong type. The message is a sentence."""


class KefuCallError(Exception):
    """A call that failed.

    Attributes:
        reason: name of a `kefu.errors.v1.ErrorReason` without its prefix, for example "PICTURE_DAMAGED". Where the
            failure did not come from Kefu (nothing listens there, a proxy refused), the name of the status code.
        message: a sentence for a person.
        code: the gRPC status code. UNKNOWN for one request of a live session: it fails without a status of its own.
        field: what is wrong in the request, as a path such as "question.parts[0].picture.data"; None: no one field.
        retry_after: seconds after which the call may be repeated; None: repeating it as it is will not help, or
            nobody said that it would.
        metadata: the facts that belong to the reason, as documented with each reason in error_reason.proto.
        request_id: of the call that failed; leads to the server's log line. Empty where the call had none.
        from_kefu: True when Kefu itself gave the reason; False when the call did not get that far.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        code: grpc.StatusCode,
        field: str | None = None,
        retry_after: float | None = None,
        metadata: Mapping[str, str] | None = None,
        request_id: str = "",
        from_kefu: bool = False,
    ) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.code = code
        self.field = field
        self.retry_after = retry_after
        self.metadata: dict[str, str] = dict(metadata or {})
        self.request_id = request_id
        # Not to be told from the reason: INTERNAL and DEADLINE_EXCEEDED are names of reasons and of codes.
        self.from_kefu = from_kefu

    @classmethod
    def of(cls, error: grpc.RpcError, request_id: str = "") -> KefuCallError:
        """Reads a failed call of any gRPC stub, sync or asyncio, with the details that Kefu attaches."""
        code = error.code()
        found = _Details()
        # grpc and grpc.aio differ in the type of the metadata; both are pairs.
        trailing: Any = error.trailing_metadata() or ()
        for key, value in trailing:
            if key == _DETAILS_KEY:
                found.read(value)
        request_id = request_id or found.metadata.get("request_id", "")
        return cls(
            found.reason or code.name,
            found.message or error.details() or code.name,
            code=code,
            field=found.field,
            retry_after=found.retry_after,
            metadata=found.metadata,
            request_id=request_id,
            from_kefu=bool(found.reason),
        )


class _Details:
    """What stands in a serialised google.rpc.Status; everything stays empty where it cannot be read."""

    def __init__(self) -> None:
        self.reason = ""
        self.message = ""
        self.field: str | None = None
        self.retry_after: float | None = None
        self.metadata: dict[str, str] = {}

    def read(self, value: bytes) -> None:
        try:
            status = foreign.Status.FromString(value)
            for detail in status.details:
                self._read_one(detail)
        except DecodeError:
            # Bytes of somebody else: the code and the text of the call still say what happened.
            return
        self.message = status.message

    def _read_one(self, detail: Any) -> None:
        kind = detail.type_url.rpartition("/")[2]
        if kind == "google.rpc.ErrorInfo":
            info = foreign.ErrorInfo.FromString(detail.value)
            if info.domain == DOMAIN:
                self.reason = info.reason
                self.metadata = dict(info.metadata)
                self.field = self.metadata.pop("field", None) or self.field
        elif kind == "google.rpc.BadRequest":
            bad = foreign.BadRequest.FromString(detail.value)
            if bad.field_violations and self.field is None:
                self.field = bad.field_violations[0].field
        elif kind == "google.rpc.RetryInfo":
            delay = foreign.RetryInfo.FromString(detail.value).retry_delay
            self.retry_after = delay.seconds + delay.nanos / 1e9
