"""An engine called directly, without Triton: the arm that the road through Triton is measured against.

    .kefu/envs/vllm/bin/python -m bench.common_engine_direct vllm MODEL_DIRECTORY WEIGHTS

Reads orders as lines of JSON, `{"prompts": [[ids, pictures in base64], …], "tokens": 48, "concurrency": 8, "whole":
false}`, and answers each with `{"seconds": …, "tokens": …, "first": [seconds, …]}`. `vllm` is vLLM's own AsyncLLM and
nothing of ours but the arguments that it is started with; for `transformers`, whose step loop is ours, it is our
engine.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

BACKEND = Path(__file__).resolve().parents[1] / "deploy/triton_backends/vlm"


class NoMeter:
    def declare(self, counters: Any, gauges: Any) -> None:
        """Nobody reads them here."""

    def add(self, name: str, value: float = 1.0) -> None:
        """Nobody reads them here."""

    def set(self, name: str, value: float) -> None:
        """Nobody reads them here."""


class Vllm:
    def __init__(self, card: Any, weights: Path) -> None:
        from engines.vllm.launch import prepare_process, start_vllm
        from engines.vllm.stats import Stats

        prepare_process()
        self._llm: Any = start_vllm(card, weights, Stats(NoMeter()))
        self._number = 0

    async def ask(self, prompt: Any, tokens: int, whole: bool) -> tuple[int, float]:
        """Tokens written, and the moment of the first."""
        from PIL import Image
        from vllm import SamplingParams, TokensPrompt
        from vllm.sampling_params import RequestOutputKind

        ids, pictures = prompt
        asked: Any = TokensPrompt(prompt_token_ids=ids)
        if pictures:
            images = [
                Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB") for data in pictures
            ]
            asked["multi_modal_data"] = {"image": images}
        params = SamplingParams(
            max_tokens=tokens,
            temperature=0,
            logprobs=0,
            output_kind=RequestOutputKind.FINAL_ONLY if whole else RequestOutputKind.DELTA,
        )
        self._number += 1
        written, first = 0, 0.0
        async for output in self._llm.generate(asked, params, str(self._number)):
            first = first or time.monotonic()
            written += len(output.outputs[0].token_ids)
        return written, first


class Transformers:
    def __init__(self, card: Any, weights: Path) -> None:
        from engines.base import EngineContext
        from engines.transformers.engine import TransformersEngine

        self._engine: Any = TransformersEngine(
            EngineContext(card=card, weights=weights, model_dir=weights, meter=NoMeter())
        )
        self._engine.start()
        self._threads = ThreadPoolExecutor(64)

    async def ask(self, prompt: Any, tokens: int, whole: bool) -> tuple[int, float]:
        from engines.base import Chunk, Job, Sampling

        ids, pictures = prompt
        written, first = 0, 0.0

        def emit(chunk: Chunk) -> None:
            nonlocal written, first
            first = first or time.monotonic()
            written += len(chunk.token_ids)

        job = Job(
            input_ids=tuple(ids),
            images=tuple(base64.b64decode(data) for data in pictures),
            sampling=Sampling(max_tokens=tokens, temperature=0),
        )
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._engine.generate, job, emit, lambda: False)
        return written, first


async def serve(engine: str, model: Path, weights: Path, answers: Any) -> None:
    from engines.base import Card

    card = Card.from_json(json.loads((model / "1/model.json").read_text()))
    arm: Any = {"vllm": Vllm, "transformers": Transformers}[engine](card, weights)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        gate = asyncio.Semaphore(order["concurrency"])
        first: list[float] = []

        async def one(
            prompt: Any, order: Any = order, gate: Any = gate, first: list[float] = first
        ) -> int:
            async with gate:
                began = time.monotonic()
                tokens, at = await arm.ask(prompt, order["tokens"], order["whole"])
                first.append(at - began)
                return int(tokens)

        began = time.monotonic()
        tokens = sum(await asyncio.gather(*map(one, order["prompts"])))
        found = {"seconds": time.monotonic() - began, "tokens": tokens, "first": first}
        print(json.dumps(found), file=answers, flush=True)
    # Whatever the engine would still like to say at its end has no reader.
    os._exit(0)


if __name__ == "__main__":
    sys.path.insert(0, str(BACKEND))
    # The engine and its processes print to standard output as they like: answers go where it was before.
    kept = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    asyncio.run(serve(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), kept))
