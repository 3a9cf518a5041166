"""Sessions on the road: what is remembered reaches the model, and what was answered once stays answered."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from kefu.chat.v1 import answer_pb2, chat_service_pb2
from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.stages.compose import PICTURE_ALONE
from tests.fakes.model import byte_tokenizer
from tests.fakes.triton import Script
from tests.rpc.gateway.conftest import House
from tests.rpc.gateway.test_chat_road import ask, refused, whole

TOKENIZER = byte_tokenizer()
HELD_OPEN = {"burst_window_seconds": 20.0}


def prompt(house: House) -> str:
    """The last prompt as text; a picture shows as its placeholder."""
    return TOKENIZER.decode(house.triton.seen[-1].input_ids, skip_special_tokens=False)


async def say(house: House, text: str, *pictures: bytes, **fields: object) -> answer_pb2.Answer:
    return await whole(house, ask(text, *pictures, session_id="s", **fields))


async def test_rounds_with_their_pictures_are_in_the_next_prompt(house: House) -> None:
    house.triton.script = Script(["first answer"])
    await say(house, "one", b"AAA")
    house.triton.script = Script(["second answer"])
    await say(house, "two", b"BBB")
    answer = await say(house, "and the first one?")
    assert house.triton.seen[-1].pictures == [b"AAA", b"BBB"]
    text = prompt(house)
    order = ["one", "first answer", "two", "second answer", "and the first one?"]
    assert sorted(order, key=text.index) == order
    assert answer.usage.history_rounds == 2


async def test_of_pictures_that_came_alone_the_next_prompt_says_so(house: House) -> None:
    """A round without a word of the customer is one that a model takes for its own."""
    await whole(house, ask(b"AAA", session_id="s"))
    await say(house, "about this one", b"BBB")
    await say(house, "and both?")
    words = PICTURE_ALONE["en"]
    assert prompt(house).count(words) == 1
    assert f"user:<|image|>{words}<|end|>" in prompt(house)


async def test_one_off_and_another_session_see_nothing_of_it(house: House) -> None:
    await say(house, "secret")
    await whole(house, ask("hello"))
    assert "secret" not in prompt(house)
    await whole(house, ask("hello", session_id="t"))
    assert "secret" not in prompt(house)


@pytest.mark.parametrize("house", [{"history_rounds": 2}], indirect=True)
async def test_only_so_many_rounds_are_recalled(house: House) -> None:
    for name in ("alpha", "beta", "gamma"):
        await say(house, name)
    answer = await say(house, "last")
    assert "alpha" not in prompt(house)
    assert "beta" in prompt(house)
    assert answer.usage.history_rounds == 2


async def test_oldest_rounds_are_dropped_whole_when_the_context_is_full(house: House) -> None:
    """The context holds 512 tokens, a byte each: two long rounds do not fit, and half a round is never shown."""
    await say(house, "a" * 150)
    await say(house, "b" * 150)
    answer = await say(house, "c" * 150)
    assert "a" * 10 not in prompt(house)
    assert "b" * 150 in prompt(house)
    assert (answer.usage.history_rounds, answer.usage.dropped_rounds) == (1, 1)


@pytest.mark.parametrize("words", ["换个话题,运费多少?", "New topic: what is the fee?"])
async def test_new_topic_starts_a_new_chain(house: House, words: str) -> None:
    await say(house, "about the parcel")
    await say(house, words)
    assert "parcel" not in prompt(house)
    await say(house, "and then?")
    assert "fee" in prompt(house) or "运费" in prompt(house)
    assert "parcel" not in prompt(house)


async def test_same_request_id_is_answered_once(house: House) -> None:
    house.triton.script = Script(["once"])
    first = await whole(house, ask("hi", b"AAA", request_id="r1"))
    house.triton.script = Script(["twice"])
    again = await whole(house, ask("hi", b"AAA", request_id="r1"))
    assert (first.text, again.text) == ("once", "once")
    assert (first.cached, again.cached) == (False, True)
    assert len(house.triton.seen) == 1
    error = await refused(house, ask("something else", request_id="r1"))
    assert error.reason is Reason.REQUEST_ID_CONFLICT


async def test_same_request_id_while_the_first_is_running(house: House) -> None:
    house.triton.script = Script(["on", "ce"], pause_after=1)
    question = ask("hi", request_id="r1", session_id="s")
    both = [asyncio.create_task(whole(house, question)) for _ in range(2)]
    await house.triton.paused.wait()
    house.triton.go_on.set()
    assert [answer.text for answer in await asyncio.gather(*both)] == ["once", "once"]
    assert len(house.triton.seen) == 1


async def test_one_who_reads_along_may_ask_again_for_what_another_wanted_whole(
    house: House,
) -> None:
    """It is the same question: only the way in which its answer is read differs."""
    house.triton.script = Script(["on", "ce"])
    await whole(house, ask("hi", b"AAA", request_id="r1", session_id="s"))
    assert house.triton.seen[0].sampling["stream"] is False
    again = chat_service_pb2.StreamChatRequest(
        question=ask("hi", b"AAA", request_id="r1", session_id="s")
    )
    events = [event async for event in house.chat.StreamChat(again, timeout=60)]
    assert events[-1].answer.text == "once"
    assert len(house.triton.seen) == 1


@pytest.mark.parametrize("house", [HELD_OPEN], indirect=True)
async def test_a_burst_is_streamed_where_one_of_its_callers_reads_along(house: House) -> None:
    async def read_along() -> str:
        request = chat_service_pb2.StreamChatRequest(
            question=ask(b"one", session_id="s", request_id="p1")
        )
        events = [event async for event in house.chat.StreamChat(request, timeout=60)]
        return str(events[-1].answer.text)

    reader = asyncio.create_task(read_along())
    while not house.sidecar.seen:
        await asyncio.sleep(0)
    answer = await whole(house, ask("which?", session_id="s", request_id="q"))
    assert await reader == answer.text
    (seen,) = house.triton.seen
    assert "stream" not in seen.sampling


async def test_failed_request_may_be_sent_again(house: House) -> None:
    house.triton.script = Script(["a"], error_message="Stub process is not healthy.")
    error = await refused(house, ask("hi", request_id="r1"))
    assert error.reason is Reason.MODEL_SERVER_UNAVAILABLE
    house.triton.script = Script(["well"])
    assert (await whole(house, ask("hi", request_id="r1"))).text == "well"


@pytest.mark.parametrize("house", [HELD_OPEN], indirect=True)
async def test_burst_is_one_inference_and_each_caller_has_the_answer(house: House) -> None:
    def part(request_id: str, *parts: str | bytes) -> asyncio.Task[answer_pb2.Answer]:
        question = ask(*parts, session_id="s", request_id=request_id)
        return asyncio.create_task(whole(house, question))

    calls = []
    for number, picture in enumerate((b"one", b"two"), start=1):
        calls.append(part(f"p{number}", picture))
        while len(house.sidecar.seen) < number:  # two calls at once may arrive in either order
            await asyncio.sleep(0)
    answers = await asyncio.gather(*calls, part("q", "which one is broken?"))
    assert len(house.triton.seen) == 1
    assert house.triton.seen[0].pictures == [b"one", b"two"]
    assert {answer.joined_requests for answer in answers} == {3}
    assert [answer.request_id for answer in answers] == ["p1", "p2", "q"]
    assert {len(answer.pictures) for answer in answers} == {2}


async def test_leaving_before_the_answer_takes_the_question_back(house: House) -> None:
    house.triton.script = Script(["a", "b"], pause_after=1)
    question = ask("never mind", session_id="s")
    stream = house.chat.StreamChat(chat_service_pb2.StreamChatRequest(question=question))
    await stream.read()
    stream.cancel()
    await house.triton.idle.wait()
    assert house.triton.cancelled == 1
    house.triton.script = Script(["ok"])
    await say(house, "hello")
    assert "never mind" not in prompt(house)


async def test_evidence_says_which_round_its_picture_came_with(house: House) -> None:
    row = {"picture": 0, "text": "older", "box": [0, 0, 10, 10]}
    await say(house, "one", b"AAA")
    house.triton.script = Script(details={"evidence": [row, {**row, "picture": 1}]})
    answer = await say(house, "two", b"BBB")
    assert [(one.rounds_back, one.picture) for one in answer.evidence] == [(1, 0), (0, 0)]
    answer = await say(house, "three", b"CCC")
    assert [(one.rounds_back, one.picture) for one in answer.evidence] == [(2, 0), (1, 0)]


async def test_deadline_while_a_turn_is_held_open(house: House) -> None:
    question = ask("more follows", session_id="s", more_to_come=True)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await house.chat.Chat(chat_service_pb2.ChatRequest(question=question), timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert not house.triton.seen


async def test_question_never_overtakes_the_pictures_that_were_sent_before_it(house: House) -> None:
    """A sentence is ready at once, a picture takes a while: the question was answered without its pictures."""
    house.sidecar.hold = asyncio.Event()
    picture = asyncio.create_task(whole(house, ask(b"photo", session_id="s", request_id="p")))
    while not house.sidecar.seen:
        await asyncio.sleep(0)
    question = asyncio.create_task(
        whole(house, ask("is it broken?", session_id="s", request_id="q"))
    )
    other = await whole(house, ask("hello", session_id="t"))
    assert other.joined_requests == 1, "another session waits for nobody"
    house.sidecar.hold.set()
    answers = await asyncio.gather(picture, question)
    assert {answer.joined_requests for answer in answers} == {2}
    assert house.triton.seen[-1].pictures == [b"photo"]


async def test_refused_picture_does_not_hold_up_the_question_behind_it(house: House) -> None:
    house.sidecar.hold = asyncio.Event()
    house.sidecar.error = KefuError(Reason.PICTURE_DAMAGED, "damaged", field="data")
    picture = asyncio.create_task(refused(house, ask(b"photo", session_id="s")))
    while not house.sidecar.seen:
        await asyncio.sleep(0)
    question = asyncio.create_task(whole(house, ask("hello?", session_id="s")))
    house.sidecar.hold.set()
    assert (await picture).reason is Reason.PICTURE_DAMAGED
    assert (await question).text == "ok"
