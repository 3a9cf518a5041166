"""Converse: a live chat window over one stream."""

from __future__ import annotations

import grpc
import pytest

from kefu.chat.v1 import chat_service_pb2 as pb
from kefu.chat.v1 import question_pb2
from kefu_common.errors import Reason
from kefu_common.status import from_call_error
from tests.fakes.triton import Script
from tests.rpc.gateway.conftest import House
from tests.rpc.gateway.test_chat_road import ask
from tests.rpc.gateway.test_sessions_road import HELD_OPEN


def start(session: str = "s", resume: str = "") -> pb.ConverseRequest:
    return pb.ConverseRequest(start=pb.ConverseStart(session_id=session, resume_request_id=resume))


def say(request_id: str, *parts: str | bytes, **fields: object) -> pb.ConverseRequest:
    return pb.ConverseRequest(question=ask(*parts, request_id=request_id, **fields))


class Window:
    """A chat window: one stream, read event by event."""

    def __init__(self, house: House) -> None:
        self.call = house.chat.Converse(timeout=60)

    async def send(self, *requests: pb.ConverseRequest) -> None:
        for request in requests:
            await self.call.write(request)

    async def hear(self) -> pb.ConverseResponse:
        response: pb.ConverseResponse = await self.call.read()
        return response

    async def answer(self, request_id: str) -> str:
        """Reads until that request is answered."""
        while True:
            heard = await self.hear()
            assert heard.WhichOneof("event") != "error", heard
            if heard.request_id == request_id and heard.WhichOneof("event") == "answer":
                return heard.answer.text


async def test_questions_are_answered_as_they_come(house: House) -> None:
    house.triton.script = Script(["你", "好"])
    window = Window(house)
    await window.send(start(), say("r1", "在吗?", b"AAA"))
    kinds = [(await window.hear()).WhichOneof("event") for _ in range(4)]
    assert kinds == ["picture", "delta", "delta", "answer"]
    house.triton.script = Script(["再见"])
    await window.send(say("r2", "好的"))
    assert await window.answer("r2") == "再见"
    # The second prompt holds the first round: one picture, and the first answer's words.
    assert house.triton.seen[-1].pictures == [b"AAA"]
    await window.call.done_writing()
    assert await window.call.read() is grpc.aio.EOF


@pytest.mark.parametrize("house", [HELD_OPEN], indirect=True)
async def test_parts_sent_together_get_one_answer(house: House) -> None:
    window = Window(house)
    await window.send(start(), say("p1", b"one"), say("p2", b"two"), say("q", "which is broken?"))
    answers = {}
    while len(answers) < 3:
        heard = await window.hear()
        if heard.WhichOneof("event") == "answer":
            answers[heard.request_id] = heard.answer
    assert {answer.joined_requests for answer in answers.values()} == {3}
    assert [answer.request_id for answer in answers.values()] == list(answers)
    assert len(house.triton.seen[-1].pictures) == 2


async def test_cancel_stops_the_work_and_the_stream_goes_on(house: House) -> None:
    house.triton.script = Script(["a", "b"], pause_after=1)
    window = Window(house)
    await window.send(start(), say("r1", "hi"))
    assert (await window.hear()).delta.text == "a"
    await window.send(pb.ConverseRequest(cancel=pb.ConverseCancel(request_id="r1")))
    heard = await window.hear()
    assert (heard.request_id, heard.error.reason) == ("r1", "TURN_CANCELLED")
    await house.triton.idle.wait()
    assert house.triton.cancelled == 1
    house.triton.script = Script(["next"])
    await window.send(say("r2", "hi again"))
    assert await window.answer("r2") == "next"


async def test_bad_question_is_told_and_the_stream_goes_on(house: House) -> None:
    window = Window(house)
    await window.send(start(), say("r1"), say("r2", "hi"))
    heard = await window.hear()
    assert (heard.request_id, heard.error.reason) == ("r1", "TURN_EMPTY")
    assert heard.error.metadata["field"] == "question.parts"
    assert await window.answer("r2") == "ok"


async def test_broken_connection_loses_nothing_and_repeats_nothing(house: House) -> None:
    house.triton.script = Script(["a", "b"], pause_after=1)
    first = Window(house)
    await first.send(start(), say("r1", "hi"))
    assert (await first.hear()).delta.text == "a"
    first.call.cancel()
    second = Window(house)
    await second.send(start(resume="r1"))
    house.triton.go_on.set()
    assert await second.answer("r1") == "ab"
    assert house.triton.cancelled == 0
    assert len(house.triton.seen) == 1, "one inference for one question"
    third = Window(house)
    await third.send(start(resume="r1"))
    heard = await third.hear()
    assert heard.answer.text == "ab"
    assert heard.answer.cached


async def test_resume_of_what_never_arrived_says_so(house: House) -> None:
    window = Window(house)
    await window.send(start(resume="r9"))
    heard = await window.hear()
    assert (heard.error.reason, heard.error.metadata["field"]) == (
        "FIELD_INVALID",
        "start.resume_request_id",
    )


@pytest.mark.parametrize("house", [{"keep_alive_seconds": 0.05}], indirect=True)
async def test_silence_is_told_to_be_alive(house: House) -> None:
    window = Window(house)
    await window.send(start())
    assert (await window.hear()).WhichOneof("event") == "keep_alive"


@pytest.mark.parametrize(
    "first",
    [say("r1", "hi"), start(session="a b"), start(session="")],
    ids=["none", "odd", "empty"],
)
async def test_stream_must_begin_with_its_session(house: House, first: pb.ConverseRequest) -> None:
    window = Window(house)
    await window.send(first)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await window.hear()
    error = from_call_error(caught.value)
    assert error is not None
    assert error.reason is Reason.FIELD_INVALID
    assert error.field in {"start", "start.session_id"}


async def test_settings_of_the_last_part_hold_for_the_turn(house: House) -> None:
    window = Window(house)
    generation = question_pb2.Generation(max_tokens=7, stop=["。"])
    await window.send(
        start(),
        say("r1", "one", more_to_come=True),
        say("r2", "two", generation=generation),
    )
    assert await window.answer("r2") == "ok"
    sampling = house.triton.seen[-1].sampling
    assert (sampling["max_tokens"], sampling["stop"]) == (7, ["。"])
