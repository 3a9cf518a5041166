"""What is tried again, with which id, and when not."""

from __future__ import annotations

import threading

import grpc
import pytest

from kefu.chat.v1.answer_pb2 import Answer
from kefu.chat.v1.chat_service_pb2 import Delta
from kefu.media.v1.picture_pb2 import PictureReport
from kefu_client import Interrupted, KefuCallError, KefuClient, picture
from kefu_common.errors import KefuError, Reason
from tests.fakes.gateway import FakeGateway, Status


def _busy(seconds: float = 0.01) -> KefuError:
    return KefuError(Reason.OVERLOADED, "too busy", retry_after=seconds)


def test_a_refused_call_comes_back_when_it_was_told_to(gateway: FakeGateway) -> None:
    told: list[tuple[str, float]] = []
    gateway.will(_busy(0.05))
    gateway.will(KefuError(Reason.DRAINING, "going down", retry_after=0.02))
    gateway.will(Answer(text="now"))
    with KefuClient(
        gateway.address, on_retry=lambda error, seconds: told.append((error.reason, seconds))
    ) as client:
        assert client.ask("hi").text == "now"
    assert [reason for reason, _ in told] == ["OVERLOADED", "DRAINING"]
    assert 0.05 <= told[0][1] <= 0.06
    # One id for all three: a server that had started would not be asked twice.
    assert len({call.question.request_id for call in gateway.calls}) == 1


def test_a_stream_is_tried_again_before_its_first_event(
    gateway: FakeGateway, client: KefuClient
) -> None:
    gateway.will(_busy())
    gateway.will(Delta(text="a"), Answer(text="a"))
    with client.stream("hi") as stream:
        assert list(stream.text()) == ["a"]
    assert len({call.question.request_id for call in gateway.calls}) == 1


def test_nothing_is_tried_again_after_the_first_event(
    gateway: FakeGateway, client: KefuClient
) -> None:
    gateway.will(Delta(text="a"), KefuError(Reason.MODEL_SERVER_UNAVAILABLE, "gone"))
    seen = []
    with client.stream("hi") as stream, pytest.raises(KefuCallError) as caught:
        seen += list(stream.text())
    assert caught.value.reason == "MODEL_SERVER_UNAVAILABLE"
    assert caught.value.retry_after == 2.0
    assert len(gateway.calls) == 1


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(KefuError(Reason.PICTURE_DAMAGED, "cut off"), id="it would fail again"),
        pytest.param(Status(grpc.StatusCode.UNAVAILABLE, "gone"), id="nobody said when"),
        pytest.param(_busy(3600), id="later than the deadline"),
    ],
)
def test_what_is_not_tried_again(
    gateway: FakeGateway, client: KefuClient, failure: KefuError | Status
) -> None:
    gateway.will(failure)
    with pytest.raises(KefuCallError):
        client.ask("hi")
    assert len(gateway.calls) == 1


def test_the_number_of_tries_is_bounded(gateway: FakeGateway) -> None:
    for _ in range(3):
        gateway.will(_busy())
    with KefuClient(gateway.address, attempts=3) as client, pytest.raises(KefuCallError) as caught:
        client.ask("hi")
    assert caught.value.reason == "OVERLOADED"


def test_repetitions_share_one_deadline(gateway: FakeGateway) -> None:
    gateway.will(_busy(0.3))
    gateway.will(Answer())
    # Of longer ones gRPC tells the server in whole seconds.
    with KefuClient(gateway.address, timeout=9) as client:
        client.ask("hi")
    assert gateway.calls[1].seconds_left < 8.8


def _interrupted() -> KefuError:
    return KefuError(Reason.TURN_INTERRUPTED, "the gateway went away", retry_after=0.01)


def test_an_interrupted_answer_is_asked_again_and_nothing_is_told_twice(
    gateway: FakeGateway, client: KefuClient
) -> None:
    gateway.will(PictureReport(), Delta(text="因为"), _interrupted())
    gateway.will(KefuError(Reason.OVERLOADED, "not yet", retry_after=0.01))
    gateway.will(PictureReport(), Delta(text="因为超过"), Answer(text="因为超过 7 天。"))
    with client.stream("hi", picture(b"x")) as stream:
        events = list(stream)
    assert [type(event) for event in events] == [PictureReport, Delta, Interrupted, Answer]
    assert isinstance(events[2], Interrupted)
    assert events[2].error.reason == "TURN_INTERRUPTED"
    assert stream.answer.text == "因为超过 7 天。"
    assert len({call.question.request_id for call in gateway.calls}) == 1


def test_the_text_of_an_interrupted_answer_goes_on(
    gateway: FakeGateway, client: KefuClient
) -> None:
    gateway.will(Delta(text="因为"), _interrupted())
    gateway.will(Delta(text="因"), Answer(text="因为超过 7 天。"))
    with client.stream("hi") as stream:
        assert list(stream.text()) == ["因为", "超过 7 天。"]


def test_a_text_that_turned_out_otherwise_is_an_error(
    gateway: FakeGateway, client: KefuClient
) -> None:
    """Half of one answer and half of another must not look like an answer."""
    gateway.will(Delta(text="因为"), _interrupted())
    gateway.will(Answer(text="审核没有通过。"))
    given = []
    with client.stream("hi") as stream:
        with pytest.raises(KefuCallError) as caught:
            given += list(stream.text())
        assert caught.value.reason == "TURN_INTERRUPTED"
        assert stream.answer.text == "审核没有通过。"


def test_a_whole_answer_that_was_interrupted_is_asked_again(
    gateway: FakeGateway, client: KefuClient
) -> None:
    gateway.will(_interrupted())
    gateway.will(Answer(text="whole"))
    assert client.ask("hi").text == "whole"
    assert len({call.question.request_id for call in gateway.calls}) == 1


def test_interruptions_count_as_tries(gateway: FakeGateway) -> None:
    for _ in range(2):
        gateway.will(Delta(text="a"), _interrupted())
    with (
        KefuClient(gateway.address, attempts=2) as client,
        client.stream("hi") as stream,
        pytest.raises(KefuCallError) as caught,
    ):
        list(stream)
    assert caught.value.reason == "TURN_INTERRUPTED"


def test_cancel_ends_the_wait_for_the_next_try(gateway: FakeGateway) -> None:
    """Otherwise the reader would go on waiting for as long as the server had asked."""
    waits = threading.Event()
    gateway.will(_busy(300))
    with KefuClient(
        gateway.address, timeout=600, on_retry=lambda error, seconds: waits.set()
    ) as client:
        stream = client.stream("hi")
        caught: list[BaseException] = []

        def read() -> None:
            try:
                list(stream)
            except KefuCallError as error:
                caught.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        assert waits.wait(60)
        stream.cancel()
        reader.join(60)
        assert not reader.is_alive()
    assert len(caught) == 1
    assert len(gateway.calls) == 1
