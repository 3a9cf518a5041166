"""Every reason of Kefu, as the server packs it, is read back without the packages that the server packs it with."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from kefu_client import KefuCallError
from kefu_common.errors import KefuError, Reason
from kefu_common.status import CODES, to_status


class _Failed(grpc.RpcError):
    """A failed call as gRPC hands it over: a code, words, and bytes in the trailing metadata."""

    def __init__(self, code: grpc.StatusCode, details: bytes | None) -> None:
        self._code = code
        self._details = details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "gRPC's words"

    def trailing_metadata(self) -> Any:
        pairs: list[tuple[str, str | bytes]] = [("content-type", "application/grpc")]
        if self._details is not None:
            pairs.append(("grpc-status-details-bin", self._details))
        return tuple(pairs)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_read_back(reason: Reason) -> None:
    sent = KefuError(reason, "一句话", field="question.parts[2]", retry_after=1.25, limit=7)
    error = KefuCallError.of(_Failed(CODES[reason], to_status(sent).SerializeToString()), "r-1")
    assert error.from_kefu
    assert (error.reason, error.message, error.field) == (
        reason.value,
        "一句话",
        "question.parts[2]",
    )
    assert (error.code, error.retry_after) == (CODES[reason], 1.25)
    assert (error.metadata, error.request_id) == ({"limit": "7"}, "r-1")


def test_the_servers_request_id_is_used_where_the_caller_had_none() -> None:
    sent = KefuError(Reason.INTERNAL, "something went wrong", request_id="r-server")
    error = KefuCallError.of(_Failed(CODES[Reason.INTERNAL], to_status(sent).SerializeToString()))
    assert error.request_id == "r-server"


@pytest.mark.parametrize("details", [None, b"", b"\xff\xff\xff not protobuf"])
def test_a_status_of_somebody_else_keeps_code_and_words(details: bytes | None) -> None:
    error = KefuCallError.of(_Failed(grpc.StatusCode.UNAVAILABLE, details))
    assert not error.from_kefu
    assert (error.reason, error.message) == ("UNAVAILABLE", "gRPC's words")
    assert (error.field, error.retry_after, error.metadata) == (None, None, {})


def test_a_reason_of_another_domain_is_not_taken_for_ours() -> None:
    status = status_pb2.Status(message="quota")
    info = error_details_pb2.ErrorInfo(reason="RATE_LIMITED", domain="proxy.example")
    status.details.add().Pack(info)
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="question.model")
    status.details.add().Pack(bad)
    error = KefuCallError.of(
        _Failed(grpc.StatusCode.RESOURCE_EXHAUSTED, status.SerializeToString())
    )
    assert not error.from_kefu
    assert (error.reason, error.message) == ("RESOURCE_EXHAUSTED", "quota")
    # What is standard in it still helps.
    assert error.field == "question.model"
