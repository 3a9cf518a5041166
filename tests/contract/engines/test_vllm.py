"""What only the engine `vllm` promises: caches, places that come back, an engine that is started again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tritonclient.utils import InferenceServerException

from kefu_modelhost.orphans import processes, recorded
from tests.checkpoints.models import WEIGHTS, model_directories, require_engine
from tests.contract.engines.conftest import Served
from tests.fixtures.pictures import page
from tests.fixtures.triton import ROOT, Host, until

pytestmark = [pytest.mark.triton, pytest.mark.vllm, pytest.mark.timeout(660)]
ONE = "tiny_qwen2_5_vl_vllm"
OTHER = "tiny_qwen3_vl_vllm"


@pytest.fixture
def one(vllm_host: Host) -> Served:
    return Served(vllm_host, "vllm", ONE)


def engine_processes(host: Host, model: str) -> list[int]:
    """The processes of a model's engine: all that its stub started, and they in turn."""
    run = recorded(host.folder / "run.json")
    assert run is not None
    ours = list(processes(run))
    family = [
        pid
        for pid in ours
        if f"/{model}/1/model.py".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    for parent in family:
        family += [pid for pid in ours if pid not in family and _parent(pid) == parent]
    return family


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _alive(pid: int) -> bool:
    """A zombie is gone but for its parent's look."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_a_known_picture_and_a_known_beginning_cost_nothing(one: Served) -> None:
    picture = page("Invoice", "Total|12.00", size=(600, 400))

    def counts() -> list[float]:
        names = ("picture_cache_queries", "picture_cache_hits", "prefix_cache_hits")
        return [one.metric(f"kefu_vllm_{name}_total") for name in names]

    first = await one.ask("What is the total?", [picture], max_tokens=4)
    await asyncio.sleep(0.5)
    before = counts()
    second = await one.ask("What is the total?", [picture], max_tokens=4)
    assert second.token_ids == first.token_ids
    await until(lambda: counts()[0] == before[0] + 1, 5)
    _, hits, prefix = counts()
    assert hits == before[1] + 1
    # All whole blocks of the prompt but the last token's.
    assert prefix - before[2] >= sum(first.usage[:2]) - 128


async def test_its_numbers_are_tritons(one: Served) -> None:
    await one.ask("Hello", max_tokens=5)
    await until(lambda: one.metric("kefu_vllm_first_tokens_total") > 0, 5)
    for name in ("steps_total", "generation_tokens_total", "prompt_tokens_total"):
        assert one.metric(f"kefu_vllm_{name}") > 0
    assert one.metric("kefu_vllm_first_token_seconds_total") > 0
    # The histogram is handed over a moment after the counters.
    await until(
        lambda: (
            one.metric("kefu_vllm_first_token_seconds_count")
            == one.metric("kefu_vllm_first_tokens_total")
        ),
        30,
    )
    await until(lambda: one.metric("kefu_vllm_running_requests") == 0, 5)


def test_seen_from_inside(tmp_path: Path) -> None:
    """Cancelled to idle within one step; a batch enters as one; a wrong setting is named; 2,000 that were cancelled
    leave no place, no cache and no memory behind."""
    python = require_engine("vllm") / "bin/python"
    repository = model_directories(tmp_path, "vllm", names=["tiny_qwen2_5_vl"])
    done = subprocess.run(
        [
            *(str(python), "-m", "tests.contract.engines.vllm_direct"),
            *(str(repository / "tiny_qwen2_5_vl"), str(WEIGHTS / "tiny_qwen2_5_vl")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert "near it: gpu_memory_utilization" in seen["unknown_setting"]
    # One token a step: what the running step writes is the last.
    assert max(seen["tokens_after_cancel"]) <= 1, seen
    assert set(seen["idle"].values()) == {0}, seen
    # An idle core takes a step with the first of them, and the next one with all the others.
    assert seen["steps_of_a_batch"] <= 2, seen
    assert seen["cancelled"] == 2000
    assert set(seen["idle_after_thousands"].values()) == {0}, seen
    # The core has vLLM's own worker in it, which on a CPU grows by about 33 KiB a request, for a reason that we do not
    # know: so much is let pass, and no more.
    grown = seen["grown_mebibytes"]
    core = next(name for name in grown if name.startswith("VLLM::EngineCor"))
    assert grown[core] < 100, grown
    assert grown["ours"] < 24, grown


async def test_an_engine_whose_core_is_killed_is_started_again(one: Served) -> None:
    """The running request hears of it, the other model answers on, and a new engine comes without anybody's help."""
    sampling = {"max_tokens": 3000, "temperature": 1.0, "seed": 1}
    stream = one.host.stream(ONE, one.prompt("Write a very long story."), sampling=sampling)
    await anext(stream)
    reloads = one.host.status()["reloads"]
    family = engine_processes(one.host, ONE)
    core = next(pid for pid in family if b"EngineCore" in Path(f"/proc/{pid}/cmdline").read_bytes())
    began = time.monotonic()
    os.kill(core, signal.SIGKILL)
    with pytest.raises(InferenceServerException) as error:
        async for _ in stream:
            pass
    assert "KEFU[engine_failed]" in error.value.message()
    assert time.monotonic() - began < 10
    assert (await one.host.ask(OTHER, "Hello", max_tokens=3)).ends == 1
    await until(lambda: one.host.status()["reloads"] == reloads + 1, 30)
    await until(lambda: one.host.status()["state"] == "ready", 400)
    # Neither the old process nor what it had started is there any more.
    await until(lambda: not [pid for pid in family if _alive(pid)], 20)
    print(f"answers again after {time.monotonic() - began:.1f} s", file=sys.stderr)
    assert (await one.ask("Hello", max_tokens=3)).ends == 1
