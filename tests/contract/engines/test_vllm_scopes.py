"""What vLLM remembers of a prompt and its pictures serves requests of the same scope alone: one tenant's."""

from __future__ import annotations

import asyncio

import pytest

from tests.contract.engines.conftest import Served
from tests.fixtures.pictures import page
from tests.fixtures.triton import Host, until

pytestmark = [pytest.mark.triton, pytest.mark.vllm, pytest.mark.timeout(460)]


@pytest.fixture
def one(vllm_host: Host) -> Served:
    return Served(vllm_host, "vllm", "tiny_qwen2_5_vl_vllm")


async def test_another_scope_finds_nothing(one: Served) -> None:
    picture = page("Invoice", "Total|31.00", size=(600, 400))

    def counts() -> list[float]:
        names = ("picture_cache_queries", "picture_cache_hits", "prefix_cache_hits")
        return [one.metric(f"kefu_vllm_{name}_total") for name in names]

    async def found(scope: str) -> list[float]:
        """Pictures and tokens that were known already."""
        before = counts()
        await one.ask("What is the total?", [picture], max_tokens=4, cache_scope=scope)
        await until(lambda: counts()[0] == before[0] + 1, 10)
        await asyncio.sleep(0.5)
        return [after - then for after, then in zip(counts()[1:], before[1:], strict=True)]

    assert await found("shop") == [0, 0]
    assert await found("bank") == [0, 0]
    pictures, tokens = await found("shop")
    assert pictures == 1
    assert tokens > 0
