"""MiniCPM-V 2.6 in vLLM's own model class: pictures as a number, a whole and slices of it."""

from __future__ import annotations

import pytest

from tests.contract.engines.conftest import Served
from tests.fixtures.pictures import page
from tests.fixtures.triton import Host

pytestmark = [pytest.mark.triton, pytest.mark.vllm, pytest.mark.timeout(660)]


@pytest.fixture
def minicpm(vllm_code_host: Host) -> Served:
    return Served(vllm_code_host, "vllm", "tiny_minicpm_v_2_6_vllm")


async def test_slices_are_counted_as_the_gateway_does(minicpm: Served) -> None:
    """None, four beside each other, four rows of one, nine; and ten pictures in one prompt."""
    sizes = [(200, 60), (1200, 300), (300, 1200), (1344, 1344)]
    pictures = [page(f"No. {n}", size=size) for n, size in enumerate(sizes)]
    for size, picture in zip(sizes, pictures, strict=True):
        answer = await minicpm.ask("多少钱？", [picture], max_tokens=2)
        assert answer.usage[1] == minicpm.visual_tokens(*size), size
    together = await minicpm.ask("多少钱？", pictures, max_tokens=2)
    assert together.usage[1] == sum(minicpm.visual_tokens(*size) for size in sizes)
    ten = [page(f"No. {n}", size=(300 + n, 90)) for n in range(10)]
    answer = await minicpm.ask("多少钱？", ten, max_tokens=2)
    assert answer.usage[1] == 10 * minicpm.visual_tokens(300, 90)


async def test_a_known_picture_gets_the_number_of_its_new_place(minicpm: Served) -> None:
    """vLLM keeps what it made of a picture, its number included: at another place that is another one."""
    one, two = page("one", "Total|1"), page("two", "Total|2")
    await minicpm.ask("多少钱？", [one, two], max_tokens=2)
    known = await minicpm.ask("多少钱？", [two, one], max_tokens=12)
    # Another scope shares nothing: both pictures are prepared anew.
    fresh = await minicpm.ask("多少钱？", [two, one], max_tokens=12, cache_scope="another")
    assert known.token_ids == fresh.token_ids
    assert known.logprobs == pytest.approx(fresh.logprobs, abs=1e-3)
