"""Messages and errors as JSON for machines."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from kefu_client.errors import KefuCallError


def document(message: Message) -> dict[str, Any]:
    """A message as JSON: names as in the .proto files, enums by name, and every field there, also when it is empty.

    64-bit numbers become strings, as the JSON mapping of protobuf says (many JSON readers would round them).
    """
    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def error_document(error: KefuCallError) -> dict[str, Any]:
    """A failed call as JSON; every key is always there."""
    return {
        "error": {
            "code": error.code.name,
            "reason": error.reason,
            "message": error.message,
            "field": error.field,
            "retry_after_seconds": error.retry_after,
            "metadata": error.metadata,
            "request_id": error.request_id,
        }
    }
