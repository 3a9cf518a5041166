"""One table from reason to status; one test walks it."""

from __future__ import annotations

import re
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2

from kefu.errors.v1 import error_reason_pb2
from kefu_common.errors import KefuError, Reason
from kefu_common.status import CODES, DOMAIN, from_call_error, to_status

PROTO = Path(__file__).parents[3] / "protos/kefu/errors/v1/error_reason.proto"

# What AIP-193 asks for beside ErrorInfo, by code.
RETRYABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}


class CallError(grpc.RpcError):
    """A failed call as a client sees it: the status travels in one trailing header."""

    def __init__(self, header: bytes) -> None:
        self._header = header

    def trailing_metadata(self) -> list[tuple[str, bytes]]:
        return [("other", b""), ("grpc-status-details-bin", self._header)]


def test_python_and_proto_know_the_same_reasons() -> None:
    prefix = "ERROR_REASON_"
    theirs = {name.removeprefix(prefix) for name, _ in error_reason_pb2.ErrorReason.items()}
    assert theirs - {"UNSPECIFIED"} == {reason.value for reason in Reason} == set(CODES)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_travels_whole(reason: Reason) -> None:
    sent = KefuError(reason, "a sentence", field="question.parts[0]", limit=7, model="m")
    status = to_status(sent)
    assert status.code == CODES[reason].value[0]
    received = from_call_error(CallError(status.SerializeToString()))
    assert received is not None
    assert (received.reason, received.message) == (reason, "a sentence")
    assert received.field == "question.parts[0]"
    assert received.metadata == {"limit": "7", "model": "m"}
    assert (received.retry_after is not None) == (CODES[reason] in RETRYABLE)


@pytest.mark.parametrize("reason", list(Reason))
def test_code_in_the_proto_comment_is_the_code_that_is_sent(reason: Reason) -> None:
    """The proto is all that a caller reads: its "(CODE)" must be true."""
    before = PROTO.read_text().split(f"ERROR_REASON_{reason.value} =")[0]
    assert re.findall(r"// \((\w+)\)", before)[-1] == CODES[reason].name


def test_detail_that_fits_stands_beside_the_reason() -> None:
    def kinds(error: KefuError) -> set[str]:
        return {detail.type_url.rpartition(".")[2] for detail in to_status(error).details}

    assert kinds(KefuError(Reason.TURN_EMPTY, "x", field="f")) == {"ErrorInfo", "BadRequest"}
    assert kinds(KefuError(Reason.OVERLOADED, "x")) == {"ErrorInfo", "RetryInfo"}
    assert kinds(KefuError(Reason.MODEL_UNKNOWN, "x", model="m")) == {"ErrorInfo", "ResourceInfo"}
    quota = kinds(KefuError(Reason.QUOTA_EXCEEDED, "x", quota="q"))
    assert quota == {"ErrorInfo", "QuotaFailure", "RetryInfo"}


def test_the_time_to_come_back_travels_to_the_millisecond() -> None:
    status = to_status(KefuError(Reason.OVERLOADED, "x", retry_after=1.5))
    received = from_call_error(CallError(status.SerializeToString()))
    assert received is not None
    assert received.retry_after == 1.5


def test_status_of_another_domain_is_not_ours() -> None:
    status = to_status(KefuError(Reason.INTERNAL, "x"))
    info = error_details_pb2.ErrorInfo(reason="INTERNAL", domain="elsewhere")
    assert info.domain != DOMAIN
    status.details[0].Pack(info)
    assert from_call_error(CallError(status.SerializeToString())) is None
