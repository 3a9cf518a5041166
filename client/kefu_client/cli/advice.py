"""What a failed call means for the person at the keyboard, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import grpc

from kefu_client.errors import KefuCallError

_ASK_HEALTH = "`kefu health` says what is missing."

# By reason: what helps. A reason that is not here explains itself.
_ADVICE: Mapping[str, str] = {
    "PICTURE_FORMAT_UNSUPPORTED": "Save it as JPEG, PNG, WebP or BMP first.",
    "PICTURE_TOO_LARGE": "Send it with fewer pixels, or as JPEG.",
    "PICTURE_TOO_MANY_PIXELS": "Scale it down first.",
    "PICTURE_DAMAGED": "Copy or save the file again; it is cut off or damaged.",
    "MODEL_UNKNOWN": "`kefu models` lists those that are hosted.",
    "PROMPT_TOO_LONG": "Shorten the text, or send fewer pictures.",
    "CREDENTIAL_INVALID": "Put your key into KEFU_TOKEN, or name its file with --token-file. One that was sent "
    "is unknown, mistyped, expired or withdrawn: ask whoever runs the gateway for another.",
    "PERMISSION_DENIED": "Your key is good, but not for this: ask whoever runs the gateway.",
    "IDENTITY_UNAVAILABLE": "Nothing is wrong with your token: the gateway cannot reach whoever issued it.",
    "OVERLOADED": "The gateway is full, and not with your questions alone.",
    "MODEL_SERVER_UNAVAILABLE": _ASK_HEALTH,
    "MODEL_NOT_READY": _ASK_HEALTH,
    "PREPROCESS_UNAVAILABLE": _ASK_HEALTH,
    "STORE_UNAVAILABLE": _ASK_HEALTH,
    "SESSION_NOT_FOUND": "Nothing was ever written to it, or it was deleted, or its time is over.",
    "UPLOAD_NOT_FOUND": "Send it again: kefu upload FILE.",
    "TURN_INTERRUPTED": "The same --request-id again gives the whole answer, once.",
    "DEADLINE_EXCEEDED": "Allow it more time with --timeout.",
    "NOT_IMPLEMENTED": "This server is of a version that cannot do it yet.",
    "REQUEST_ID_CONFLICT": "Choose another --request-id, or leave it out.",
}

# By the quota that is used up.
_ANY_QUOTA = "More than your tenant may use; whoever runs the gateway sets how much that is."
_QUOTAS: Mapping[str, str] = {
    "turns_per_second": "Ask more slowly, or have the gateway's operator raise turns_per_second.",
    "concurrent_turns": "Wait for your running questions, or have the gateway's operator raise concurrent_turns.",
    "tokens_per_day": "Today's tokens are used up; a day ends at midnight UTC. The gateway's operator can raise "
    "tokens_per_day.",
    "uploads": "Delete some (MediaService.DeleteUpload), or wait until they expire.",
}

_PICTURE_FIELD = re.compile(r"question\.parts\[(\d+)\]\.picture")


def explain(error: KefuCallError, address: str, names: Sequence[str] = ()) -> list[str]:
    """Lines for a person: what happened, who said so, what helps.

    `names` are the files of the parts, in order: the server knows a picture by its place, the person by its name.
    """
    if not error.from_kefu:
        return _from_elsewhere(error, address)
    lines = [_where(error, names) + error.message]
    origin = [error.reason]
    if error.field and not _part_of(error, names):
        origin.append(f"field {error.field}")
    if error.request_id:
        origin.append(f"request {error.request_id}")
    lines.append(f"({', '.join(origin)})")
    if error.reason in _ADVICE:
        lines.append(_ADVICE[error.reason])
    if error.reason == "QUOTA_EXCEEDED":
        lines.append(_QUOTAS.get(error.metadata.get("quota", ""), _ANY_QUOTA))
    if error.retry_after is not None:
        lines.append(f"Try again in {_duration(error.retry_after)}.")
    return lines


def _from_elsewhere(error: KefuCallError, address: str) -> list[str]:
    """The call failed before Kefu could answer it; gRPC's own words are the best there are."""
    said = f"gRPC says: {error.code.name}: {error.message}"
    if error.code is grpc.StatusCode.UNAVAILABLE:
        if "handshake" in error.message.lower() or "certificate" in error.message.lower():
            return [
                f"no trusted TLS connection to {address}",
                "Name the authority that signed its certificate with --ca. A gateway that wants a certificate "
                "of yours needs --cert and --key.",
                said,
            ]
        if "socket closed" in error.message.lower():
            return [
                f"{address} closed the connection at once",
                "It may speak TLS (--tls, --ca), or want a certificate of yours (--cert, --key).",
                said,
            ]
        return [
            f"cannot reach a gateway at {address}",
            "Is it running? `./dev up` starts one here; --address or KEFU_ADDRESS says where it is.",
            said,
        ]
    if error.code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return [f"no answer from {address} in time", _ADVICE["DEADLINE_EXCEEDED"]]
    if error.code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in error.message:
        return [
            f"the question is larger than {address} takes in one message",
            "Upload the pictures first: kefu upload FILE, then kefu chat --upload ID.",
            said,
        ]
    if error.code is grpc.StatusCode.UNIMPLEMENTED:
        return [f"what listens at {address} does not know this call: is it a Kefu gateway?", said]
    return [f"the call to {address} failed", said]


def _duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 120:
        return f"{seconds:g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"


def _part_of(error: KefuCallError, names: Sequence[str]) -> str:
    found = _PICTURE_FIELD.match(error.field or "")
    if found is None or int(found[1]) >= len(names):
        return ""
    return names[int(found[1])]


def _where(error: KefuCallError, names: Sequence[str]) -> str:
    name = _part_of(error, names)
    return f"{name}: " if name else ""
