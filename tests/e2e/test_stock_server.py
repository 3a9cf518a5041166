"""A Triton that is not ours: the tensors of its own vLLM backend, spoken by the gateway's adapter to a real server."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import grpc
import pytest

from kefu_common.errors import KefuError, Reason
from kefu_gateway.adapters.dialects import Dialects
from kefu_gateway.adapters.prompts import ModelPrompts
from kefu_gateway.adapters.stock import StockTensors
from kefu_gateway.adapters.triton import ContractDialect, StallLimits, TritonHost
from kefu_gateway.domain.card import ModelCard
from kefu_gateway.domain.ports import Inference, Message, Sampling, TokenChunk
from kefu_modelhost import layout
from tests.fakes.model import END, PLACEHOLDER, TEMPLATE, byte_tokenizer, card
from tests.fixtures.triton import ROOT, TRITON_ENV, free_ports, require_triton

pytestmark = pytest.mark.triton


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A tritonserver as its own documentation starts it: nothing of ours but where its files are."""
    require_triton()
    folder = tmp_path_factory.mktemp("stock")
    shutil.copytree(ROOT / "tests/models/stock", folder / "models/stock")
    prepared = layout.prepare(TRITON_ENV, ROOT / "deploy/triton_backends", folder / "run")
    (port,) = free_ports(1)
    command = [
        str(prepared.binary),
        f"--model-repository={folder / 'models'}",
        f"--backend-directory={prepared.backends}",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={port}",
        "--allow-http=false",
        "--allow-metrics=false",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=prepared.environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            # How this server ends is not ours to test.
            process.kill()
            process.wait()


def prompts() -> ModelPrompts:
    return ModelPrompts(byte_tokenizer(), TEMPLATE, "stock")


def tensors() -> StockTensors:
    picture = {**card()["picture"], "engine_text": "(picture)"}
    return StockTensors(ModelCard.parse(card(name="stock", picture=picture)), prompts())


def host_on(channel: grpc.aio.Channel) -> TritonHost:
    dialects = Dialects({"stock": tensors()}, contract=ContractDialect())
    return TritonHost(channel, StallLimits(first_token=10, next_token=5), dialects=dialects)


@pytest.fixture
async def host(address: str) -> AsyncIterator[TritonHost]:
    async with grpc.aio.insecure_channel(address) as channel:
        await asyncio.wait_for(channel.channel_ready(), 60)
        host = host_on(channel)
        async with asyncio.timeout(60):
            while not await ready(host):
                await asyncio.sleep(0.1)
        yield host


async def ready(host: TritonHost) -> bool:
    try:
        return bool(await answer(host, "up?"))
    except KefuError:
        return False


def inference(text: str, *pictures: bytes, **sampling: object) -> Inference:
    # The model answers with the last line of its prompt: no template behind the words.
    ids = byte_tokenizer().encode(PLACEHOLDER * len(pictures) + "q\n" + text).ids
    values = {"max_tokens": 64, "temperature": 0.0, "top_p": 1.0, **sampling}
    return Inference(
        model="stock",
        input_ids=ids,
        pictures=pictures,
        sampling=Sampling(**values),  # type: ignore[arg-type]
    )


async def answer(
    host: TritonHost, text: str, *pictures: bytes, **sampling: object
) -> list[TokenChunk]:
    async with aclosing(host.infer(inference(text, *pictures, **sampling), timeout=20)) as chunks:
        return [chunk async for chunk in chunks]


async def test_text_streams_with_its_reason_probabilities_and_usage(host: TritonHost) -> None:
    chunks = await answer(host, "包裹破损 ok")
    assert "".join(chunk.text for chunk in chunks) == "包裹破损 ok"
    assert len([chunk for chunk in chunks if chunk.text]) == 7
    assert [p for chunk in chunks for p in chunk.logprobs] == [-0.25] * 7
    assert next(i for chunk in chunks for i in chunk.token_ids) == ord("包")
    assert chunks[-1].finish_reason == "stop"
    text, visual, completion = chunks[-1].usage
    assert (text, visual, completion) == (len("q\n包裹破损 ok".encode()), 0, 7)


async def test_pictures_arrive_whole_and_count(host: TritonHost) -> None:
    pictures = (b"\0\xff" * 500, b"webp" * 3)
    chunks = await answer(host, "two", *pictures)
    assert "".join(chunk.text for chunk in chunks) == "two 1000 12"
    prompt = len(b"(picture)" * 2 + b"q\ntwo")
    text, visual, _ = chunks[-1].usage
    assert text == len(b"q\ntwo")
    assert visual == prompt + 20 - text


async def test_length_and_schema(host: TritonHost) -> None:
    chunks = await answer(host, "long", max_tokens=2, seed=7, stop=("。",), json_schema='{"a": 1}')
    assert "".join(chunk.text for chunk in chunks) == "lo"
    assert chunks[-1].finish_reason == "length"


async def test_vllms_words_become_reasons(host: TritonHost) -> None:
    with pytest.raises(KefuError) as caught:
        await answer(host, "too long")
    assert caught.value.reason is Reason.PROMPT_TOO_LONG
    assert "9999" not in str(caught.value)


async def test_a_caller_that_leaves_stops_the_model(host: TritonHost) -> None:
    async with aclosing(host.infer(inference("slow", max_tokens=10_000), timeout=30)) as chunks:
        async for _ in chunks:
            break
    async with asyncio.timeout(10):
        while "".join(c.text for c in await answer(host, "cancelled?")) != "1":
            await asyncio.sleep(0.05)


def test_the_templates_prompt_is_the_text(tmp_path: Path) -> None:
    """What vLLM gets as text is what every other engine gets as tokens."""
    content = [{"type": "image"}, {"type": "text", "text": "破损？"}]
    ids = prompts().encode([Message("user", content)], language="zh")
    rendered = f"user:{PLACEHOLDER}破损？{END}assistant:"
    assert prompts().text_of(ids) == rendered
