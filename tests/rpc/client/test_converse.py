"""KefuClient.converse: a live session over one stream, against a gateway on a real port."""

from __future__ import annotations

import grpc
import pytest

from kefu.chat.v1.answer_pb2 import Answer
from kefu.chat.v1.chat_service_pb2 import Delta, KeepAlive
from kefu.media.v1.picture_pb2 import PictureReport
from kefu_client import MESSAGE_BYTES, InputError, KefuCallError, KefuClient, picture
from kefu_common.errors import KefuError, Reason
from tests.fakes.gateway import PATIENCE_S, FakeGateway, Gate, Status


def test_parts_go_in_while_answers_come_out(gateway: FakeGateway, client: KefuClient) -> None:
    gate = Gate()
    gateway.will(PictureReport(index=0), KeepAlive(), Delta(text="一"), gate, Answer(text="一"))
    gateway.will(Answer(text="二"))
    with client.converse("s-1") as talk:
        first = talk.send(picture(b"x"), "多少钱?", temperature=0, session_id="another")
        # What keeps the connection alive is nobody's news.
        assert [type(next(talk).event) for _ in range(2)] == [PictureReport, Delta]
        second = talk.send("这张呢?", request_id="mine")
        news = next(talk)
        # The second one is answered while the first still runs, and each knows whose it is.
        assert (news.request_id, second) == ("mine", "mine")
        assert isinstance(news.event, Answer)
        gate.open()
        news = next(talk)
        assert news.request_id == first != second
        talk.finish()
        assert list(talk) == []
        assert talk.receive() is None
    assert gateway.starts[0].session_id == "s-1"
    asked = gateway.calls[0].question
    assert asked.session_id == ""
    assert asked.generation.HasField("temperature")


def test_a_request_that_fails_leaves_the_stream_open(
    gateway: FakeGateway, client: KefuClient
) -> None:
    gateway.will(
        KefuError(Reason.TOO_MANY_PARTS, "too many", field="question.parts", limit=20, got=21)
    )
    gateway.will(Answer(text="ok"))
    with client.converse("s-1") as talk:
        request_id = talk.send("hi")
        error = next(talk).event
        assert isinstance(error, KefuCallError)
        assert (error.reason, error.message, error.field) == (
            "TOO_MANY_PARTS",
            "too many",
            "question.parts",
        )
        assert (error.metadata, error.request_id) == ({"limit": "20", "got": "21"}, request_id)
        assert error.from_kefu
        assert error.code is grpc.StatusCode.UNKNOWN
        talk.send("hi again")
        assert isinstance(next(talk).event, Answer)


@pytest.mark.parametrize("named", [True, False])
def test_cancel_stops_one_request(gateway: FakeGateway, client: KefuClient, named: bool) -> None:
    gate = Gate()
    gateway.will(Delta(text="a"), gate, Answer())
    with client.converse("s-1") as talk:
        request_id = talk.send("hi")
        assert isinstance(next(talk).event, Delta)
        assert gate.reached.wait(PATIENCE_S)
        talk.cancel(request_id if named else "")
        error = next(talk).event
        assert isinstance(error, KefuCallError)
        assert error.reason == "TURN_CANCELLED"
    assert gateway.calls[0].cancelled.is_set()


def test_nothing_in_time_is_said_and_the_stream_goes_on(
    gateway: FakeGateway, client: KefuClient
) -> None:
    gate = Gate()
    gateway.will(gate, Answer(text="late"))
    with client.converse("s-1") as talk:
        talk.send("hi")
        with pytest.raises(KefuCallError) as caught:
            talk.receive(timeout=0.05)
        assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert talk.is_open
        gate.open()
        news = talk.receive(timeout=PATIENCE_S)
        assert news is not None
        assert isinstance(news.event, Answer)


def test_resume_names_the_last_request(gateway: FakeGateway, client: KefuClient) -> None:
    gateway.will(Answer())
    with client.converse("s-1", resume_request_id="r-7") as talk:
        talk.send("hi")
        next(talk)
    assert gateway.starts[0].resume_request_id == "r-7"


def test_a_stream_that_breaks_off_is_an_error_for_whoever_reads(
    gateway: FakeGateway, client: KefuClient
) -> None:
    gateway.will(Delta(text="a"), Status(grpc.StatusCode.UNAVAILABLE, "reset"))
    with client.converse("s-1") as talk:
        talk.send("hi")
        assert isinstance(next(talk).event, Delta)
        for _ in range(2):
            with pytest.raises(KefuCallError) as caught:
                next(talk)
            assert caught.value.code is grpc.StatusCode.UNAVAILABLE
        assert not talk.is_open


def test_a_gateway_without_live_sessions(gateway: FakeGateway, client: KefuClient) -> None:
    gateway.converses = False
    with client.converse("s-1") as talk, pytest.raises(KefuCallError) as caught:
        next(talk)
    assert caught.value.code is grpc.StatusCode.UNIMPLEMENTED
    assert caught.value.reason == "NOT_IMPLEMENTED"


def test_the_token_opens_the_stream_and_large_questions_stay_here(gateway: FakeGateway) -> None:
    gateway.will(Answer())
    part = picture(bytes(MESSAGE_BYTES // 2 + 1))
    with KefuClient(gateway.address, token="key-1") as client, client.converse("s-1") as talk:
        with pytest.raises(InputError, match="kefu upload FILE"):
            talk.send(part, part)
        talk.send("hi")
        assert isinstance(next(talk).event, Answer)
    assert [call.metadata["authorization"] for call in gateway.calls] == ["Bearer key-1"]


def test_leaving_ends_the_stream(gateway: FakeGateway, client: KefuClient) -> None:
    gate = Gate()
    gateway.will(gate, Answer())
    with client.converse("s-1") as talk:
        talk.send("hi")
        assert gate.reached.wait(PATIENCE_S)
    assert gateway.calls[0].over.wait(PATIENCE_S)
    assert not talk.is_open
