"""Our own server is closed: that it does not tell configurations is no sign of a stock one."""

from __future__ import annotations

from contextlib import aclosing

import grpc
import pytest

from kefu_gateway.adapters.dialects import Dialects
from kefu_gateway.adapters.prompts import ModelPrompts
from kefu_gateway.adapters.stock import StockTensors
from kefu_gateway.adapters.triton import ContractDialect, StallLimits, TritonHost
from kefu_gateway.domain.card import ModelCard
from kefu_gateway.domain.ports import Inference, Sampling
from tests.fakes.model import TEMPLATE, byte_tokenizer, card
from tests.fixtures.triton import Host

pytestmark = pytest.mark.triton


async def test_our_own_server_speaks_the_contract_and_is_asked_once(triton: Host) -> None:
    ids = triton.models["echo"].tokenizer.encode("hello", add_special_tokens=False).ids
    sampling = Sampling(max_tokens=64, temperature=0, top_p=1)
    asked = Inference(model="echo", input_ids=ids, pictures=(), sampling=sampling)
    stock = StockTensors(ModelCard.parse(card()), ModelPrompts(byte_tokenizer(), TEMPLATE, "echo"))
    dialects = Dialects({"echo": stock}, contract=ContractDialect())
    async with grpc.aio.insecure_channel(triton.grpc) as channel:
        host = TritonHost(channel, StallLimits(), dialects=dialects)
        async with aclosing(host.infer(asked, timeout=20)) as chunks:
            assert "".join([chunk.text async for chunk in chunks]) == "hello"
    # Known by now: a server that does not exist any more is not asked again.
    assert isinstance(await dialects.of("echo", None), ContractDialect)
