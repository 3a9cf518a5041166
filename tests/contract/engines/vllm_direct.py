"""The engine `vllm` without Triton, in its own environment; prints what was seen as JSON.

    .kefu/envs/vllm/bin/python -m tests.contract.engines.vllm_direct MODEL_DIRECTORY WEIGHTS

What is measured in steps of the engine can only be seen from inside: Triton's metrics are handed over five times a
second. And the memory of its processes after thousands of cancelled requests is only to be compared where the cache is
so small that all of it has been written to. That Triton bears them is test_cancelled_thousands.py's.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

THOUSANDS = 2000
CACHE_BYTES = 32 << 20
BACKEND = Path(__file__).resolve().parents[3] / "deploy/triton_backends/vlm"


class Recorder:
    """A Meter that remembers when the engine wrote tokens."""

    def __init__(self) -> None:
        self.written: list[tuple[float, float]] = []
        self.values: dict[str, float] = {}

    def declare(self, counters: Mapping[str, str], gauges: Mapping[str, str]) -> None:
        """Any name will do."""

    def add(self, name: str, value: float = 1.0) -> None:
        if name == "kefu_vllm_generation_tokens_total":
            self.written.append((time.monotonic(), value))
        self.values[name] = self.values.get(name, 0.0) + value

    def set(self, name: str, value: float) -> None:
        self.values[name] = value

    def declare_histogram(self, name: str, text: str, buckets: Sequence[float]) -> None:
        """Any name will do."""

    def observe(self, name: str, value: float) -> None:
        """Not looked at here."""

    def since(self, moment: float) -> int:
        return int(sum(tokens for at, tokens in self.written if at > moment))


def main(model: Path, weights: Path) -> dict[str, Any]:
    from engines.base import Batch, Card, Chunk, EngineContext, Job, Sampling
    from engines.vllm.engine import VllmEngine
    from engines.vllm.launch import StartError

    raw = json.loads((model / "1/model.json").read_text())
    seen: dict[str, Any] = {}

    def engine(meter: Recorder, left: threading.Event, **settings: Any) -> VllmEngine:
        raw_card = {**raw, "engine_settings": {**raw["engine_settings"], **settings}}
        context = EngineContext(
            card=Card.from_json(raw_card), weights=weights, model_dir=model, meter=meter
        )
        return VllmEngine(context, leave=left.set)

    def job(ids: Sequence[int], tokens: int, batch: Batch | None = None) -> Job:
        sampling = Sampling(max_tokens=tokens, temperature=1.0, seed=ids[0])
        return Job(input_ids=tuple(ids), images=(), sampling=sampling, batch=batch or Batch(1))

    meter, left = Recorder(), threading.Event()
    try:
        engine(meter, left, gpu_memory_utilisation=0.5).start()
    except StartError as error:
        seen["unknown_setting"] = str(error)

    # So small a cache that its every page has been written to before memory is compared.
    running = engine(meter, left, kv_cache_memory_bytes=CACHE_BYTES)
    running.start()

    # How many tokens the engine still writes for a request after `cancelled` said True, in each of ten.
    after = []
    for number in range(10):
        chunks: list[Chunk] = []
        moment = 0.0

        def cancelled(chunks: list[Chunk] = chunks) -> bool:
            nonlocal moment
            if len(chunks) < 5:
                return False
            moment = moment or time.monotonic()
            return True

        running.generate(job([65 + number], 3000), chunks.append, cancelled)
        time.sleep(0.2)
        after.append(meter.since(moment))
        assert chunks[-1].finish_reason == "cancelled"
    seen["tokens_after_cancel"] = after
    seen["idle"] = {n: v for n, v in meter.values.items() if n.endswith(("requests", "usage"))}

    # Requests that come together: the steps that their prompts took.
    batch = Batch(8)
    before, prompts = meter.values["kefu_vllm_steps_total"], []
    jobs = [job([70 + n] * (20 + n), 1, batch) for n in range(8)]
    threads = [
        threading.Thread(target=running.generate, args=(one, prompts.append, lambda: False))
        for one in jobs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(0.1)
    seen["steps_of_a_batch"] = meter.values["kefu_vllm_steps_total"] - before

    # Thousands that leave before their first token or after a few: places, cache and memory come back.
    numbers = iter(range(THOUSANDS))
    ended: list[str] = []

    def leave(number: int) -> None:
        told: list[Chunk] = []
        asked = job([65 + number % 50] * 40, 3000)
        running.generate(asked, told.append, lambda: len(told) >= number % 3)
        ended.append(told[-1].finish_reason)

    def caller(last: int) -> None:
        for number in numbers:
            leave(number)
            if number >= last:
                return

    grown = {}
    for last in (500, THOUSANDS):
        callers = [threading.Thread(target=caller, args=(last,)) for _ in range(24)]
        for one_of_many in callers:
            one_of_many.start()
        for one_of_many in callers:
            one_of_many.join()
        time.sleep(0.5)
        grown[last] = _family_mebibytes()
    seen["cancelled"] = ended.count("cancelled")
    seen["grown_mebibytes"] = {
        name: size - grown[500].get(name, 0) for name, size in grown[THOUSANDS].items()
    }
    seen["idle_after_thousands"] = {
        n: v for n, v in meter.values.items() if n.endswith(("requests", "usage"))
    }
    running.close()
    return seen


def _family_mebibytes() -> dict[str, float]:
    """Private memory of this process and of all that it started, by name; pages that they share are nobody's leak."""
    family = [os.getpid()]
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent in family:
                family.append(int(folder.name))
    found: dict[str, float] = {}
    for pid in family:
        name = "ours" if pid == os.getpid() else Path(f"/proc/{pid}/comm").read_text().strip()
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        kib = sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
        found[name] = found.get(name, 0) + kib / 1024
    return found


if __name__ == "__main__":
    sys.path.insert(0, str(BACKEND))
    found = main(Path(sys.argv[1]), Path(sys.argv[2]))
    print("\n" + json.dumps(found))
