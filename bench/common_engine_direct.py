"""An engine called directly, without Triton: the arm that the road through Triton is measured against.

    .kefu/envs/vllm/bin/python -m bench.common_engine_direct vllm MODEL_DIRECTORY WEIGHTS

Reads orders as lines of JSON, `{"prompts": [[ids, pictures in base64], …], "tokens": 48, "concurrency": 8, "whole":
false, "arm": "direct"}`, and answers each with `{"seconds": …, "tokens": …, "first": [seconds, …], "messages": …}`.
`vllm` is vLLM's own AsyncLLM in an event loop of uvloop, as vLLM's own server runs it, and nothing of ours but the
arguments that it is started with; for `transformers`, whose step loop is ours, it is our engine. The arm `backend` is
what our backend does around vLLM, without Triton: what it costs, the rest is Triton's.
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

    def declare_histogram(self, name: str, text: str, buckets: Any) -> None:
        """Nobody reads them here."""

    def observe(self, name: str, value: float) -> None:
        """Nobody reads them here."""


class Vllm:
    """vLLM's AsyncLLM. What the backend asks of it is asked here: no text, a log-probability a token."""

    def __init__(self, card: Any, weights: Path) -> None:
        from engines.vllm.launch import prepare_process, start_vllm
        from engines.vllm.stats import Stats

        prepare_process()
        self._llm: Any = start_vllm(card, weights, Stats(NoMeter()))
        self._number = 0

    async def ask(self, prompt: Any, tokens: int, whole: bool) -> tuple[int, float, int]:
        """Tokens written, the moment of the first, the messages in which they came."""
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
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY if whole else RequestOutputKind.DELTA,
        )
        self._number += 1
        written, first, messages = 0, 0.0, 0
        async for output in self._llm.generate(asked, params, str(self._number)):
            first = first or time.monotonic()
            written += len(output.outputs[0].token_ids)
            messages += 1
        return written, first, messages


class Ours:
    """An engine of ours as the backend uses it: a thread a request, chunks as they come."""

    def __init__(self, engine: str, card: Any, weights: Path) -> None:
        from engines.base import EngineContext
        from engines.registry import create_engine

        if engine == "vllm":
            from engines.vllm.launch import prepare_process

            prepare_process()
        self._engine: Any = create_engine(
            EngineContext(card=card, weights=weights, model_dir=weights, meter=NoMeter())
        )
        self._engine.start()
        self._threads = ThreadPoolExecutor(64)

    async def ask(self, prompt: Any, tokens: int, whole: bool) -> tuple[int, float, int]:
        from engines.base import Chunk, Job, Sampling

        ids, pictures = prompt
        written, first, messages = 0, 0.0, 0

        def emit(chunk: Chunk) -> None:
            nonlocal written, first, messages
            first = first or time.monotonic()
            written += len(chunk.token_ids)
            messages += 1

        job = Job(
            input_ids=tuple(ids),
            images=tuple(base64.b64decode(data) for data in pictures),
            sampling=Sampling(max_tokens=tokens, temperature=0),
        )
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._engine.generate, job, emit, lambda: False)
        return written, first, messages


async def serve(engine: str, model: Path, weights: Path, answers: Any) -> None:
    from engines.base import Card

    card = Card.from_json(json.loads((model / "1/model.json").read_text()))
    arms: dict[str, Any] = {}

    def arm_of(name: str) -> Any:
        if name not in arms:
            plain = engine == "vllm" and name == "direct"
            arms[name] = Vllm(card, weights) if plain else Ours(engine, card, weights)
        return arms[name]

    arm_of("direct")
    print(json.dumps({"ready": True}), file=answers, flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        gate = asyncio.Semaphore(order["concurrency"])
        arm = arm_of(order["arm"])
        first: list[float] = []

        async def one(
            prompt: Any,
            arm: Any = arm,
            order: Any = order,
            gate: Any = gate,
            first: list[float] = first,
        ) -> tuple[int, int]:
            async with gate:
                began = time.monotonic()
                tokens, at, messages = await arm.ask(prompt, order["tokens"], order["whole"])
                first.append(at - began)
                return int(tokens), int(messages)

        began = time.monotonic()
        told = await asyncio.gather(*map(one, order["prompts"]))
        found = {
            "seconds": time.monotonic() - began,
            "tokens": sum(tokens for tokens, _ in told),
            "first": first,
            "messages": sum(messages for _, messages in told),
        }
        print(json.dumps(found), file=answers, flush=True)
    # Whatever the engine would still like to say at its end has no reader.
    os._exit(0)


def main() -> None:
    sys.path.insert(0, str(BACKEND))
    # The engine and its processes print to standard output as they like: answers go where it was before.
    kept = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serving = serve(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), kept)
    try:
        import uvloop
    except ImportError:
        asyncio.run(serving)
    else:
        uvloop.run(serving)


if __name__ == "__main__":
    main()
