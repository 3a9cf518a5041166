"""The tensor contract (DESIGN §5), against real Triton: what only the engines `reader` and `echo` can show.

What holds for every engine is in `engines/test_every_engine.py`.
"""

from __future__ import annotations

import asyncio
import json

import pytest
from tritonclient.utils import InferenceServerException

from tests.fixtures.pictures import page, sample
from tests.fixtures.triton import Host, refusal

pytestmark = pytest.mark.triton


async def test_a_character_is_never_cut(triton: Host) -> None:
    """Each token of the echo model is one byte, so every Chinese character and emoji spans several tokens."""
    said = "退款为什么被拒绝？👍🏽 ok"
    answer = await triton.ask("echo", f"@echo token_ms=1\n{said}")
    assert answer.text == said
    assert len(answer.token_ids) == len(said.encode())
    assert len(answer.pieces) > 10
    cut = await triton.ask("echo", f"@echo token_ms=1\n{said}", max_tokens=4)
    assert (cut.text, cut.finish_reason) == ("退", "length")


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
