"""Callers who leave: after 2,000 of them every place is free, and the memory is what it was."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing, suppress
from pathlib import Path

import grpc
import pytest

from kefu_gateway.adapters.triton import StallLimits, TritonHost
from kefu_gateway.domain.ports import Inference, Sampling
from tests.contract.engines.conftest import Served
from tests.fixtures.pictures import page
from tests.fixtures.triton import until

pytestmark = [pytest.mark.triton, pytest.mark.engines("transformers", "vllm")]

CALLS, AT_ONCE = 2000, 32
# A leak of one prompt's keys and values, or of one picture's tensors, in each would be hundreds of MiB.
SLACK_MIB = 48


async def test_two_thousand_cancelled_requests_leave_nothing(served: Served) -> None:
    if "qwen3" in served.name:
        pytest.skip("one architecture is enough: places and memory are the engine's")
    rng = random.Random(1)
    cancelled = served.metric("kefu_vlm_cancelled_total")
    picture = page("Ticket", size=(224, 112))
    answer = await served.ask("What is it?", [picture], max_tokens=12)

    async def leave(number: int, model: TritonHost) -> None:
        """Goes while the prompt is read, or after some tokens, as a gateway's caller does."""
        pictures = [picture] if number % 4 == 0 else []
        asked = Inference(
            model=served.name,
            input_ids=served.prompt(f"Call {number}: {'more ' * (number % 9)}", len(pictures)),
            pictures=pictures,
            sampling=Sampling(
                max_tokens=1500,
                temperature=1.0,
                top_p=1.0,
                seed=number,
            ),
        )
        async with aclosing(model.infer(asked, timeout=100)) as chunks:
            heard, most = 0, rng.randint(0, 3)
            if most == 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(rng.random() / 50):
                        await anext(chunks)
                return
            async for _ in chunks:
                heard += 1
                if heard == most:
                    break

    async def some(count: int) -> None:
        numbers = iter(range(count))
        async with grpc.aio.insecure_channel(served.host.grpc) as channel:
            model = TritonHost(channel, StallLimits())

            async def caller() -> None:
                for number in numbers:
                    await leave(number, model)

            await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
            await model.close()
            await until(lambda: served.metric("kefu_vlm_active_requests") == 0, 60)

    # The first few hundred fill the allocators' pools.
    await some(CALLS // 5)
    before = await asyncio.to_thread(memory, served)
    await some(CALLS - CALLS // 5)
    await until(lambda: served.metric("kefu_vlm_busy_slots") == 0, 10)
    after = await asyncio.to_thread(memory, served)
    # Some leave before Triton has handed them over, and a few are answered first.
    assert served.metric("kefu_vlm_cancelled_total") - cancelled > 0.6 * CALLS
    print(f"{before:.0f} MiB, after {CALLS} cancelled requests {after:.0f} MiB")
    assert after - before < SLACK_MIB, f"{before:.0f} MiB became {after:.0f} MiB"
    again = await served.ask("What is it?", [picture], max_tokens=12)
    assert again.token_ids == answer.token_ids


def memory(served: Served) -> float:
    """MiB resident of the model's process and those that it started. Not of those that vLLM started: their cache is
    taken from the system page by page, as it is written to (`vllm_direct` has a small one, and measures them)."""
    parents: dict[int, list[int]] = {}
    model = f"{served.host.folder.parent}/models/{served.name}/".encode()
    found = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = [*(folder / "cmdline").read_bytes().split(b"\0"), b""]
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            parents.setdefault(parent, []).append(int(folder.name))
            if b"python_backend_stub" in words[0] and words[1].startswith(model):
                found = int(folder.name)
    assert found, f"no process of {served.name}"
    family, kib = [found], 0
    for pid in family:
        if served.engine != "vllm":
            family += parents.get(pid, [])
        with suppress(OSError):
            status = Path(f"/proc/{pid}/status").read_text()
            kib += int(status.split("VmRSS:")[1].split()[0])
    return kib / 1024
