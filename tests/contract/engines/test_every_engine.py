"""The tensor contract (DESIGN §5), against real Triton, for every engine.

What only one of them can show (a schema that copies from a page, one token a byte) is in `test_tensor_contract.py`.
"""

from __future__ import annotations

import asyncio
import json
import math

import pytest
from tritonclient.utils import InferenceServerException

from tests.contract.engines.conftest import Served
from tests.fixtures.pictures import blank, page, sample
from tests.fixtures.triton import Answer, gather, refusal, until

pytestmark = pytest.mark.triton

MODELS = pytest.mark.engines("reader", "transformers", "vllm")
VISION = pytest.mark.engines("transformers", "vllm")


def whole(served: Served, ids: list[int]) -> str:
    """The text of tokens without the character that the end cut off."""
    return str(served.model.tokenizer.decode(ids)).rstrip("\N{REPLACEMENT CHARACTER}")


async def test_an_answer_has_tokens_text_logprobs_and_one_end(served: Served) -> None:
    answer = await served.ask("Say hello.", max_tokens=12)
    assert answer.text
    assert answer.ends == 1
    assert answer.finish_reason in ("stop", "length")
    assert len(answer.token_ids) == len(answer.logprobs) == answer.usage[2] > 0
    assert all(math.isfinite(p) and p <= 0 for p in answer.logprobs)
    assert answer.text == whole(served, answer.token_ids)


async def test_max_tokens_ends_with_length(served: Served) -> None:
    answer = await served.ask("Tell me a long story about a cat.", max_tokens=3)
    assert (answer.finish_reason, answer.usage[2]) == ("length", 3)


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_pictures_are_counted_as_visual_tokens(served: Served, count: int) -> None:
    pictures = [page(f"Ticket {n}", f"Gate|B{n}") for n in range(1, count + 1)]
    answer = await served.ask("What is the gate?", pictures, max_tokens=4)
    text, visual, _ = answer.usage
    assert text > 0
    assert (visual > 0) == (count > 0)
    if served.engine == "reader":
        assert len(answer.details["pictures"]) == count
    if served.sees:
        assert visual == count * served.visual_tokens(640, 480)


@VISION
async def test_what_is_in_a_picture_changes_the_answer(served: Served) -> None:
    pages = [page("Ticket 17", ink=0), page("Please wait", "here|now"), sample("router")]
    answers = [await served.ask("What is it?", [one], max_tokens=16) for one in pages]
    # Random weights may well choose the same words for two pages; they never find them equally likely.
    assert len({tuple(answer.logprobs) for answer in answers}) == 3


async def test_logprobs_can_be_left_out(served: Served) -> None:
    answer = await served.ask("Hello", max_tokens=4, logprobs=False)
    assert answer.token_ids
    assert answer.logprobs == []


async def test_the_stream_goes_on_after_a_refused_request(served: Served) -> None:
    with pytest.raises(InferenceServerException):
        await served.ask("Hello", temperature=-1)
    assert (await served.ask("Hello", max_tokens=2)).ends == 1


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
    served: Served, sampling: dict[str, object], reason: str
) -> None:
    with pytest.raises(InferenceServerException) as error:
        await served.answer([1, 2], sampling=sampling)
    assert refusal(error) == reason


async def test_pictures_and_placeholders_must_be_as_many(served: Served) -> None:
    place = served.model.card["picture"]["placeholder_id"]
    for ids, pictures in (([place, 1], []), ([1], [blank()]), ([place], [blank(), blank()])):
        with pytest.raises(InferenceServerException) as error:
            await served.answer(ids, pictures)
        assert refusal(error) == "placeholder_mismatch"


async def test_too_many_pictures(served: Served) -> None:
    card = served.model.card
    count = card["max_pictures"] + 1
    with pytest.raises(InferenceServerException) as error:
        await served.answer([card["picture"]["placeholder_id"]] * count, [blank()] * count)
    assert refusal(error) == "too_many_pictures"


async def test_a_prompt_past_the_context(served: Served) -> None:
    with pytest.raises(InferenceServerException) as error:
        await served.answer([65] * (served.model.card["context_tokens"] + 1))
    assert refusal(error) == "prompt_too_long"


@VISION
async def test_a_prompt_past_the_context_by_its_pictures(served: Served) -> None:
    """A few placeholders are a short prompt until the pictures have taken their tokens."""
    large = page("large", size=(1400, 1400))
    too_many = served.model.card["context_tokens"] // served.visual_tokens(1400, 1400) + 1
    with pytest.raises(InferenceServerException) as error:
        await served.ask("What is it?", [large] * too_many, max_tokens=2)
    assert refusal(error) == "prompt_too_long"
    assert (await served.ask("What is it?", [large], max_tokens=2)).ends == 1


@VISION
async def test_the_context_ends_the_answer(served: Served) -> None:
    """Room for five tokens, and ten asked for: five are written."""
    room = 5
    ids = [65] * (served.model.card["context_tokens"] - room)
    answer = await served.answer(ids, sampling={"max_tokens": 10, "temperature": 0})
    assert answer.finish_reason in ("length", "stop")
    assert answer.usage[2] <= room


async def test_ids_outside_the_vocabulary(served: Served) -> None:
    with pytest.raises(InferenceServerException) as error:
        await served.answer([1, 2_000_000])
    assert refusal(error) == "bad_tensor"


@MODELS
@pytest.mark.parametrize(
    "picture",
    [b"not a picture", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", page("cut")[:200], b"%PDF-1.7\n"],
    ids=["random", "gif", "truncated", "pdf"],
)
async def test_a_picture_that_cannot_be_decoded(served: Served, picture: bytes) -> None:
    with pytest.raises(InferenceServerException) as error:
        await served.ask("What is this?", [picture])
    assert refusal(error) == "picture_undecodable"
    # A decoder's own words have leaked addresses elsewhere.
    assert "0x" not in error.value.message()
    assert "BytesIO" not in error.value.message()


async def test_chinese_comes_whole(served: Served) -> None:
    answer = await served.ask("请用中文说你好。", language="zh", max_tokens=16)
    assert any("一" <= c <= "鿿" for c in answer.text)


@VISION
async def test_a_character_is_never_cut(served: Served) -> None:
    """Many a Chinese character takes two tokens: wherever the answer ends, only whole ones are sent, and every token
    is counted."""
    long = await served.ask("退款为什么被拒？", max_tokens=40)
    cuts = 0
    for most in range(1, 13):
        answer = await served.ask("退款为什么被拒？", max_tokens=most)
        assert answer.token_ids == long.token_ids[:most]
        assert answer.text == whole(served, answer.token_ids)
        cuts += served.model.tokenizer.decode(answer.token_ids) != answer.text
    assert cuts >= 2, "no answer ended inside a character: this test has shown nothing"


@VISION
async def test_a_stop_string_ends_the_answer_and_is_not_part_of_it(served: Served) -> None:
    """Cut at a character, and at one that spans two tokens and the next one's first: neither is ever sent in part."""
    long = await served.ask("多少钱？", max_tokens=40)
    for start, end in ((4, 5), (6, 9), (9, 11)):
        stop = long.text[start:end]
        answer = await served.ask("多少钱？", max_tokens=40, stop=[stop, "no such text"])
        assert answer.text == long.text[: long.text.index(stop)]
        assert answer.finish_reason == "stop"
        assert answer.usage[2] == len(answer.token_ids) < 40


@VISION
async def test_a_schema_is_followed(served: Served) -> None:
    schema = {
        "type": "object",
        "properties": {
            "refund": {"type": "boolean"},
            "pieces": {"type": "integer", "minimum": 0, "maximum": 99},
            "status": {"type": "string", "enum": ["paid", "未付款"]},
            "items": {"type": "array", "maxItems": 2, "items": {"enum": ["a", "b"]}},
        },
        "required": ["refund", "pieces", "status", "items"],
    }
    for question in ("多少钱？", "Refund?"):
        answer = await served.ask(question, [blank()], max_tokens=120, json_schema=schema)
        fields = json.loads(answer.text)
        # Asked for four fields; a model that may add more would.
        assert set(fields) == {"refund", "pieces", "status", "items"}
        assert isinstance(fields["refund"], bool)
        assert 0 <= fields["pieces"] <= 99
        assert fields["status"] in ("paid", "未付款")
        assert answer.finish_reason == "stop"


@MODELS
async def test_a_schema_that_makes_no_sense(served: Served) -> None:
    with pytest.raises(InferenceServerException) as error:
        await served.ask("Hi", json_schema={"type": "no such type"})
    assert refusal(error) == "bad_schema"


@MODELS
async def test_the_same_seed_gives_the_same_answer(served: Served) -> None:
    async def say(seed: int) -> str:
        how = {"temperature": 1.2, "seed": seed, "max_tokens": 16}
        return (await served.ask("Tell me a short story about a cat.", **how)).text

    first = await say(7)
    assert await say(7) == first
    assert len({first, await say(8), await say(9)}) > 1


@VISION
async def test_seeds_hold_where_many_long_prompts_are_read_at_once(served: Served) -> None:
    """vLLM reads a long prompt in parts where it can, and turned a seed's generator back in a way that a CPU's cannot:
    one caller's seed ended the engine for everybody."""
    ids = served.prompt("Tell me a short story about a cat. " * 150)

    async def say(seed: int) -> list[int]:
        how = {"temperature": 1.2, "seed": seed, "max_tokens": 4}
        return (await served.answer(ids, sampling=how)).token_ids

    together = await asyncio.gather(*(say(number % 4) for number in range(12)))
    assert together[:4] == together[4:8] == together[8:]
    assert len({tuple(each) for each in together}) > 1


@MODELS
async def test_the_best_one_alone_is_greedy(served: Served) -> None:
    """top_k 1 at temperature 1; and so is min_p 1."""
    question = "Tell me a short story about a cat."
    greedy = await served.ask(question, max_tokens=16)
    for cut in ({"top_k": 1}, {"min_p": 1.0}):
        drawn = await served.ask(question, max_tokens=16, temperature=1.0, seed=3, **cut)
        assert drawn.token_ids == greedy.token_ids


@VISION
async def test_what_was_there_is_not_repeated(served: Served) -> None:
    """By the publishers' formula (a score above 0 divided, one below multiplied) a penalty of ten leaves hardly a token
    of the prompt or of the answer; the models' weights are random, and repeat themselves without it."""
    ids = served.prompt("Tell me a story. " * 4)
    sampling = {"temperature": 0.0, "max_tokens": 24}
    plain = await served.answer(ids, sampling=sampling)
    varied = await served.answer(ids, sampling={**sampling, "repetition_penalty": 10.0})
    assert not set(varied.token_ids) & set(ids)
    assert len(set(varied.token_ids)) == len(varied.token_ids)
    assert varied.token_ids != plain.token_ids
    once = await served.answer(ids, sampling={**sampling, "presence_penalty": 2.0})
    assert len(set(once.token_ids)) >= len(set(plain.token_ids))


@VISION
async def test_a_batch_answers_as_each_alone(served: Served) -> None:
    """Prompts of every length, no picture to three of different sizes, schemas and free text, at temperature 0: token
    by token what each request gets by itself; and Triton has them in fewer batches than requests."""
    sizes = [(640, 480), (120, 400), (300, 56), (801, 333)]
    pictures = [page(f"No. {n}", f"Total|{n}{n}.50", size=s) for n, s in enumerate(sizes)]
    asked = [
        (f"第{n}个问题：" + "多少钱？" * (3 * n), pictures[: n % 4], {"max_tokens": 12 + n})
        for n in range(7)
    ]
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    asked.append(("ok?", pictures[:1], {"max_tokens": 24, "json_schema": schema}))
    alone = [await served.ask(q, p, **how) for q, p, how in asked]
    client = served.host.client()
    before = served.metric("nv_inference_exec_count")
    together: list[Answer] = await asyncio.gather(
        *(served.ask(q, p, client=client, **how) for q, p, how in asked)
    )
    await client.close()
    for one, other in zip(alone, together, strict=True):
        assert other.token_ids == one.token_ids
        assert (other.text, other.finish_reason, other.usage) == (
            one.text,
            one.finish_reason,
            one.usage,
        )
    assert served.metric("nv_inference_exec_count") - before < len(asked)


@VISION
async def test_a_seed_does_not_care_who_else_is_answered(served: Served) -> None:
    how = {"temperature": 1.0, "top_p": 0.9, "seed": 11, "max_tokens": 16}
    alone = await served.ask("Tell me a story.", **how)
    others = [served.ask(f"Story {n}", temperature=1.0, seed=n, max_tokens=30) for n in range(6)]
    among, *_ = await asyncio.gather(served.ask("Tell me a story.", **how), *others)
    assert among.token_ids == alone.token_ids


async def test_cancelling_stops_the_work(served: Served) -> None:
    """The place is free, and nobody works on, long before the answer would have been written."""
    question = (
        "@echo tokens=4000 token_ms=20\nx" if served.name == "echo" else "Write a very long story."
    )
    before = served.metric("kefu_vlm_cancelled_total")
    sampling = {"max_tokens": 3000, "temperature": 1.0, "seed": 5}
    stream = served.host.stream(served.name, served.prompt(question), sampling=sampling)
    got = Answer()
    async for result in stream:
        gather(got, result)
        if got.token_ids:
            break
    await stream.aclose()
    await until(lambda: served.metric("kefu_vlm_cancelled_total") == before + 1, 10)
    await until(lambda: served.metric("kefu_vlm_active_requests") == 0, 10)
    if served.name != "echo":
        await until(lambda: served.metric("kefu_vlm_busy_slots") == 0, 10)
        rest = served.metric("kefu_vlm_progress_total")
        # Longer than the backend takes to tell its numbers.
        await asyncio.sleep(0.5)
        assert served.metric("kefu_vlm_progress_total") == rest


@MODELS
async def test_a_waiting_request_can_be_cancelled(served: Served) -> None:
    """More requests than places: one that has no place yet goes as well."""
    ids = served.prompt("Write a long story.")
    count = 7 if served.engine == "reader" else 48
    sampling = {"max_tokens": 2000, "temperature": 1.0}
    tasks = [asyncio.ensure_future(served.answer(ids, sampling=sampling)) for _ in range(count)]
    # A few may have drawn their end already where the machine is slow.
    await until(lambda: served.metric("kefu_vlm_active_requests") >= count - count // 8, 30)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await until(lambda: served.metric("kefu_vlm_active_requests") == 0, 20)
    assert (await served.ask("Hello", max_tokens=2)).ends == 1
