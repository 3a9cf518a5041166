"""The tensor contract (DESIGN §5), against real Triton, for every engine.

What holds for each engine is parametrised over both; what only one can show (a schema needs a language model, a cut
character needs one token a byte) names its engine.
"""

from __future__ import annotations

import asyncio
import json
import math

import pytest
from tritonclient.utils import InferenceServerException

from tests.fixtures.pictures import blank, page, sample
from tests.fixtures.triton import Host, until

pytestmark = pytest.mark.triton

ENGINES = ("echo", "reader")


def refusal(error: pytest.ExceptionInfo[InferenceServerException]) -> str:
    """`reason` of `KEFU[reason]: …`."""
    message = error.value.message()
    assert message.startswith("KEFU["), message
    return str(message[5 : message.index("]")])


@pytest.mark.parametrize("model", ENGINES)
async def test_an_answer_has_tokens_text_logprobs_and_one_end(triton: Host, model: str) -> None:
    answer = await triton.ask(model, "Say hello.", max_tokens=12)
    assert answer.text
    assert answer.ends == 1
    assert answer.finish_reason in ("stop", "length")
    assert len(answer.token_ids) == len(answer.logprobs) == answer.usage[2] > 0
    assert all(math.isfinite(p) and p <= 0 for p in answer.logprobs)
    assert answer.text == triton.models[model].tokenizer.decode(answer.token_ids)


@pytest.mark.parametrize("model", ENGINES)
async def test_max_tokens_ends_with_length(triton: Host, model: str) -> None:
    answer = await triton.ask(model, "Tell me a long story about a cat.", max_tokens=3)
    assert (answer.finish_reason, answer.usage[2]) == ("length", 3)


@pytest.mark.parametrize("model", ENGINES)
@pytest.mark.parametrize("count", [0, 1, 3])
async def test_pictures_are_counted_as_visual_tokens(triton: Host, model: str, count: int) -> None:
    pictures = [page(f"Ticket {n}", f"Gate|B{n}") for n in range(1, count + 1)]
    answer = await triton.ask(model, "What is the gate?", pictures, max_tokens=4)
    text, visual, _ = answer.usage
    assert text > 0
    assert (visual > 0) == (count > 0)
    if model == "reader":
        assert len(answer.details["pictures"]) == count


@pytest.mark.parametrize("model", ENGINES)
async def test_logprobs_can_be_left_out(triton: Host, model: str) -> None:
    answer = await triton.ask(model, "Hello", max_tokens=4, logprobs=False)
    assert answer.token_ids
    assert answer.logprobs == []


@pytest.mark.parametrize("model", ENGINES)
async def test_the_stream_goes_on_after_a_refused_request(triton: Host, model: str) -> None:
    with pytest.raises(InferenceServerException):
        await triton.ask(model, "Hello", temperature=-1)
    assert (await triton.ask(model, "Hello", max_tokens=2)).ends == 1


@pytest.mark.parametrize("model", ENGINES)
@pytest.mark.parametrize(
    ("sampling", "reason"),
    [
        ({"temperature": 9}, "bad_sampling"),
        ({"max_tokens": 0}, "bad_sampling"),
        ({"top_p": 0}, "bad_sampling"),
        ({"seed": "x"}, "bad_sampling"),
        ({"stop": [""]}, "bad_sampling"),
        ({"beams": 4}, "bad_sampling"),
        ({"json_schema": "{"}, "bad_schema"),
    ],
)
async def test_bad_sampling_is_named(
    triton: Host, model: str, sampling: dict[str, object], reason: str
) -> None:
    with pytest.raises(InferenceServerException) as error:
        await triton.answer(model, [1, 2], sampling=sampling)
    assert refusal(error) == reason


@pytest.mark.parametrize("model", ENGINES)
async def test_pictures_and_placeholders_must_be_as_many(triton: Host, model: str) -> None:
    place = triton.models[model].card["picture"]["placeholder_id"]
    for ids, pictures in (([place, 1], []), ([1], [blank()]), ([place], [blank(), blank()])):
        with pytest.raises(InferenceServerException) as error:
            await triton.answer(model, ids, pictures)
        assert refusal(error) == "placeholder_mismatch"


@pytest.mark.parametrize("model", ENGINES)
async def test_too_many_pictures(triton: Host, model: str) -> None:
    card = triton.models[model].card
    count = card["max_pictures"] + 1
    with pytest.raises(InferenceServerException) as error:
        await triton.answer(model, [card["picture"]["placeholder_id"]] * count, [blank()] * count)
    assert refusal(error) == "too_many_pictures"


@pytest.mark.parametrize("model", ENGINES)
async def test_a_prompt_past_the_context(triton: Host, model: str) -> None:
    context = triton.models[model].card["context_tokens"]
    with pytest.raises(InferenceServerException) as error:
        await triton.answer(model, [65] * (context + 1))
    assert refusal(error) == "prompt_too_long"


@pytest.mark.parametrize("model", ENGINES)
async def test_ids_outside_the_vocabulary(triton: Host, model: str) -> None:
    with pytest.raises(InferenceServerException) as error:
        await triton.answer(model, [1, 2_000_000])
    assert refusal(error) == "bad_tensor"


@pytest.mark.parametrize(
    "picture",
    [b"not a picture", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", page("cut")[:200], b"%PDF-1.7\n"],
    ids=["random", "gif", "truncated", "pdf"],
)
async def test_a_picture_that_cannot_be_decoded(triton: Host, picture: bytes) -> None:
    with pytest.raises(InferenceServerException) as error:
        await triton.ask("reader", "What is this?", [picture])
    assert refusal(error) == "picture_undecodable"
    # A decoder's own words have leaked addresses elsewhere.
    assert "0x" not in error.value.message()
    assert "BytesIO" not in error.value.message()


async def test_a_character_is_never_cut(triton: Host) -> None:
    """Each token of the echo model is one byte, so every Chinese character and emoji spans several tokens."""
    said = "退款为什么被拒绝？👍🏽 ok"
    answer = await triton.ask("echo", f"@echo token_ms=1\n{said}")
    assert answer.text == said
    assert len(answer.token_ids) == len(said.encode())
    assert len(answer.pieces) > 10
    cut = await triton.ask("echo", f"@echo token_ms=1\n{said}", max_tokens=4)
    assert (cut.text, cut.finish_reason) == ("退", "length")


@pytest.mark.parametrize("model", ENGINES)
async def test_chinese_comes_whole(triton: Host, model: str) -> None:
    answer = await triton.ask(model, "请用中文说你好。", language="zh", max_tokens=16)
    assert any("一" <= c <= "鿿" for c in answer.text)


async def test_a_stop_string_ends_the_answer_and_is_not_part_of_it(triton: Host) -> None:
    # "END" arrives as three tokens, so its beginning must be held back.
    answer = await triton.ask("echo", "@echo token_ms=1\nabc EN abc END def", stop=["END", "zzz"])
    assert (answer.text, answer.finish_reason) == ("abc EN abc ", "stop")
    first = await triton.ask("echo", "one two three", stop=["three", "two"])
    assert first.text == "one "


async def test_a_stop_string_of_the_reader(triton: Host) -> None:
    whole = await triton.ask("reader", "Write: alpha beta gamma delta", max_tokens=24)
    word = whole.text.split()[1]
    cut = await triton.ask("reader", "Write: alpha beta gamma delta", max_tokens=24, stop=[word])
    assert cut.text == whole.text[: whole.text.index(word)]
    assert cut.finish_reason == "stop"


async def test_a_schema_is_followed(triton: Host) -> None:
    schema = {
        "type": "object",
        "properties": {
            "invoice": {"type": "string"},
            "status": {"type": "string", "enum": ["paid", "unpaid"]},
        },
        "required": ["invoice", "status"],
        "additionalProperties": False,
    }
    picture = page("INVOICE", "Invoice No.|QX-4711", "Status|Unpaid", "Total|88.20")
    answer = await triton.ask("reader", "Fill in the fields.", [picture], json_schema=schema)
    fields = json.loads(answer.text)
    assert set(fields) == {"invoice", "status"}
    assert fields["invoice"] == "QX-4711"
    assert fields["status"] in ("paid", "unpaid")


async def test_a_schema_that_makes_no_sense(triton: Host) -> None:
    with pytest.raises(InferenceServerException) as error:
        await triton.ask("reader", "Hi", json_schema={"type": "no such type"})
    assert refusal(error) == "bad_schema"


async def test_the_same_seed_gives_the_same_answer(triton: Host) -> None:
    async def say(seed: int) -> str:
        how = {"temperature": 1.2, "seed": seed, "max_tokens": 16}
        return (await triton.ask("reader", "Tell me a short story about a cat.", **how)).text

    first = await say(7)
    assert await say(7) == first
    assert len({first, await say(8), await say(9)}) > 1


@pytest.mark.parametrize("model", ENGINES)
async def test_cancelling_stops_the_work(triton: Host, model: str) -> None:
    """The place is free, and nobody works on, long before the answer would have been written."""
    question = "@echo tokens=4000 token_ms=20\nx" if model == "echo" else "Write a very long story."
    before = triton.metric("kefu_vlm_cancelled_total", model)
    ids = triton.models[model].prompt([{"role": "user", "content": question}], "en")
    stream = triton.stream(model, ids, sampling={"max_tokens": 4000, "temperature": 1.0})
    async for result in stream:
        if result.as_numpy("token_ids").size:
            break
    await stream.aclose()
    await until(lambda: triton.metric("kefu_vlm_cancelled_total", model) == before + 1, 10)
    await until(lambda: triton.metric("kefu_vlm_active_requests", model) == 0, 10)
    if model == "reader":
        await until(lambda: triton.metric("kefu_vlm_busy_slots", model) == 0, 10)
        rest = triton.metric("kefu_vlm_progress_total", model)
        await triton.ask("echo", "@echo tokens=20 token_ms=20\nx")
        assert triton.metric("kefu_vlm_progress_total", model) == rest


async def test_a_waiting_request_can_be_cancelled(triton: Host) -> None:
    """More requests than places: one that has no place yet goes as well."""
    ids = triton.models["reader"].prompt([{"role": "user", "content": "Write a long story."}], "en")
    tasks = [
        asyncio.ensure_future(
            triton.answer("reader", ids, sampling={"max_tokens": 2000, "temperature": 1.0})
        )
        for _ in range(7)
    ]
    await until(lambda: triton.metric("kefu_vlm_active_requests", "reader") == 7, 20)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await until(lambda: triton.metric("kefu_vlm_active_requests", "reader") == 0, 20)


async def test_sixteen_streams_at_once_are_batched_and_each_has_its_own_answer(
    triton: Host,
) -> None:
    before = [
        triton.metric(n, "echo")
        for n in ("nv_inference_request_success", "nv_inference_exec_count")
    ]
    pictures = [page(f"{n}") for n in range(3)]
    client = triton.client()

    async def one(number: int) -> None:
        said = f"answer {number} 第{number}个回答 " + "x" * (7 * number)
        answer = await triton.ask(
            "echo", said, pictures[: number % 4], max_tokens=2000, client=client
        )
        assert answer.text == said

    async with asyncio.TaskGroup() as group:
        for number in range(16):
            group.create_task(one(number))
    await client.close()
    after = [
        triton.metric(n, "echo")
        for n in ("nv_inference_request_success", "nv_inference_exec_count")
    ]
    requests, executions = (b - a for a, b in zip(before, after, strict=True))
    assert requests == 16
    assert 1 <= executions < 16


async def test_a_mixed_batch_of_the_reader(triton: Host) -> None:
    """Eight requests with 0 to 2 pictures and prompts of different length, all at once."""
    before = [
        triton.metric(n, "reader")
        for n in ("nv_inference_request_success", "nv_inference_exec_count")
    ]
    codes = [f"K{n}7{n}" for n in range(1, 5)]
    pages = [page("Voucher", f"Code|{code}") for code in codes]
    extra = page("Terms", "Valid in all shops")
    client = triton.client()

    async def one(number: int) -> None:
        if number % 2:
            answer = await triton.ask(
                "reader", "Say yes." + " please" * number, max_tokens=4, client=client
            )
            assert answer.usage[1] == 0
            return
        picture = number // 2
        pictures = [pages[picture], extra][: 1 + picture % 2]
        answer = await triton.ask(
            "reader", "What is the code?", pictures, max_tokens=24, client=client
        )
        assert codes[picture] in answer.text
        assert not any(code in answer.text for code in codes if code != codes[picture])

    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(one(number))
    await client.close()
    after = [
        triton.metric(n, "reader")
        for n in ("nv_inference_request_success", "nv_inference_exec_count")
    ]
    requests, executions = (b - a for a, b in zip(before, after, strict=True))
    assert requests == 8
    assert executions < 8


async def test_an_engine_that_breaks_says_so_and_no_more(triton: Host) -> None:
    with pytest.raises(InferenceServerException) as error:
        await triton.ask("echo", "@echo fail_after=2 token_ms=1\nhello")
    assert refusal(error) == "engine_failed"
    assert "asked to fail" not in error.value.message()
    assert (await triton.ask("echo", "fine")).text == "fine"


async def test_a_sample_page_in_chinese(triton: Host) -> None:
    answer = await triton.ask("reader", "取件码是多少？", [sample("order")], language="zh")
    assert "8-3-2047" in answer.text
    evidence = answer.details["evidence"][0]
    assert "8-3-2047" in evidence["text"]
    left, top, right, bottom = evidence["box"]
    assert 0 <= left < right
    assert 0 <= top < bottom
