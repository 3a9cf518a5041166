"""The whole road in front of a Triton with its own vLLM backend: same API, other tensors."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2_grpc

from kefu.chat.v1 import answer_pb2, chat_service_pb2, chat_service_pb2_grpc, question_pb2
from kefu_common.errors import Reason
from kefu_common.status import from_call_error
from kefu_gateway.adapters.dialects import Dialects
from kefu_gateway.adapters.prompts import ModelPrompts
from kefu_gateway.adapters.stock import StockTensors
from kefu_gateway.adapters.stores.objects import open_objects
from kefu_gateway.adapters.stores.uploads import ObjectUploads
from kefu_gateway.adapters.triton import ContractDialect
from kefu_gateway.app import Gateway, Stores
from kefu_gateway.domain.card import ModelCard
from tests.fakes.memory_store import MemoryPictures, MemoryStore
from tests.fakes.model import TEMPLATE, byte_tokenizer, card, write_model
from tests.fakes.preprocess import FakePreprocess
from tests.fakes.stock_triton import NEW, OLD, FakeStockTriton
from tests.fakes.triton import Script
from tests.rpc.gateway.conftest import settings_for
from tests.rpc.gateway.test_chat_road import ask


@dataclass
class Asker:
    """A client of a gateway, and the server behind it."""

    triton: FakeStockTriton
    chat: chat_service_pb2_grpc.ChatServiceStub

    async def answer(self, question: question_pb2.Question) -> answer_pb2.Answer:
        request = chat_service_pb2.ChatRequest(question=question)
        return (await self.chat.Chat(request, timeout=60)).answer


Open = Callable[[FakeStockTriton], AbstractAsyncContextManager[Asker]]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """A gateway in front of this server; the model's pictures are `(picture)` in text."""
    picture = {**card()["picture"], "engine_text": "(picture)"}
    write_model(tmp_path, card(picture=picture))

    @asynccontextmanager
    async def open_(triton: FakeStockTriton) -> AsyncIterator[Asker]:
        async with triton, FakePreprocess(tmp_path) as sidecar:
            settings = settings_for(tmp_path, triton.address, sidecar.address)
            uploads = ObjectUploads(open_objects("memory:///"), settings.upload_limits)
            stores = Stores(
                sessions=MemoryStore(time.time), pictures=MemoryPictures(), uploads=uploads
            )
            async with (
                Gateway.open(settings, shared=stores) as gateway,
                grpc.aio.insecure_channel(gateway.address) as channel,
            ):
                yield Asker(triton, chat_service_pb2_grpc.ChatServiceStub(channel))

    return open_


@pytest.mark.parametrize("batched", [False, True])
async def test_the_prompt_goes_as_text_and_the_answer_is_whole(opened: Open, batched: bool) -> None:
    script = Script(["破", "损", "。"])
    async with opened(FakeStockTriton(script, batched=batched)) as asker:
        question = ask("为什么被拒?", b"picture one")
        question.generation.stop.append("\n")
        question.generation.seed = 7
        question.generation.json_schema = '{"type":"object"}'
        answer = await asker.answer(question)
        (seen,) = asker.triton.seen
        assert seen.text == "system:你是客服。<|end|>user:为什么被拒?(picture)<|end|>assistant:"
        assert seen.pictures == [b"picture one"]
        assert seen.flags == set(NEW) - {
            "text_input",
            "image",
            "sampling_parameters",
            "return_cumulative_logprob",
        }
        assert seen.sampling["max_tokens"] == 64
        assert seen.sampling["stop"] == ["\n"]
        assert seen.sampling["seed"] == 7
        schema = json.loads(seen.sampling["structured_outputs"])
        assert schema == {"json": {"type": "object"}}
        assert asker.triton.asked_configuration == 1
    assert answer.text == "破损。"
    assert answer.finish_reason == answer_pb2.FINISH_REASON_STOP
    assert answer.confidence.method == "token_logprobs"
    assert answer.usage.completion_tokens == 3
    # The server's count of the prompt, less what the gateway's own tokenizer says is text.
    assert answer.usage.prompt_text_tokens + answer.usage.visual_tokens == 100


async def test_its_configuration_is_asked_once_however_many_ask_at_once() -> None:
    """The first question and the first health probe each asked, where they came before the first reply."""
    stock = StockTensors(ModelCard.parse(card()), ModelPrompts(byte_tokenizer(), TEMPLATE, "stock"))
    dialects = Dialects({"stock": stock}, contract=ContractDialect())
    triton = FakeStockTriton(Script(["ok"]))
    async with triton, grpc.aio.insecure_channel(triton.address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        first = await asyncio.gather(*(dialects.of("stock", stub) for _ in range(3)))
        assert triton.asked_configuration == 1
        assert not any(isinstance(dialect, ContractDialect) for dialect in first)
        dialects.forget()
        await dialects.of("stock", stub)
        assert triton.asked_configuration == 2, "another server may be there now"


async def test_an_older_backend_is_counted_for(opened: Open) -> None:
    """No finish reason, no probabilities, no counts: the stream's end is the end, tokens are the tokenizer's."""
    async with opened(FakeStockTriton(Script(["ab", "c"]), inputs=OLD)) as asker:
        answer = await asker.answer(ask("hello?"))
    assert answer.text == "abc"
    assert answer.finish_reason == answer_pb2.FINISH_REASON_STOP
    assert answer.usage.completion_tokens == 3
    assert answer.confidence.method == "none"


async def test_a_caller_that_leaves_cancels_in_the_server(opened: Open) -> None:
    async with opened(FakeStockTriton(Script(["ab", "c"], pause_after=1))) as asker:
        request = chat_service_pb2.StreamChatRequest(question=ask("hello?"))
        call = asker.chat.StreamChat(request, timeout=60)
        async for response in call:
            if response.HasField("delta"):
                break
        call.cancel()
        await asyncio.wait_for(asker.triton.cancelled.wait(), 60)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            "Error generating stream: The decoder prompt (length 600) is longer than the maximum"
            " model length of 512.",
            Reason.PROMPT_TOO_LONG,
        ),
        ("Error generating stream: Grammar error: unknown key", Reason.SCHEMA_INVALID),
        ("Error generating stream: EngineDeadError", Reason.MODEL_SERVER_UNAVAILABLE),
        ("Model is unavailable due to unhealthy vLLM engine", Reason.MODEL_SERVER_UNAVAILABLE),
    ],
)
async def test_its_words_become_our_reasons(opened: Open, words: str, reason: Reason) -> None:
    async with opened(FakeStockTriton(Script(["a"], error_message=words))) as asker:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asker.answer(ask("hello?"))
    error = from_call_error(caught.value)
    assert error is not None
    assert error.reason is reason
    assert words[:30] not in str(caught.value)


async def test_pictures_for_a_model_without_an_input_for_them(opened: Open) -> None:
    inputs = [name for name in NEW if name != "image"]
    async with opened(FakeStockTriton(Script(["a"]), inputs=inputs)) as asker:
        assert (await asker.answer(ask("hello?"))).text == "a"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asker.answer(ask("hello?", b"picture"))
    error = from_call_error(caught.value)
    assert error is not None
    assert error.reason is Reason.TOO_MANY_PICTURES
