"""The engine `vllm` without Triton, in its own environment; prints what was seen as JSON.

    .kefu/envs/vllm/bin/python -m tests.contract.engines.vllm_direct MODEL_DIRECTORY WEIGHTS

What is measured in steps of the engine can only be seen from inside: Triton's metrics are handed over five times a
second.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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

    running = engine(meter, left)
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
    running.close()
    return seen


if __name__ == "__main__":
    sys.path.insert(0, str(BACKEND))
    found = main(Path(sys.argv[1]), Path(sys.argv[2]))
    print("\n" + json.dumps(found))
