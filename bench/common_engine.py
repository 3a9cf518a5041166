"""What the benchmarks of engines share: a checkpoint and its model directory, prompts, the two arms.

repository = model_directory(folder, "vllm", "steps_of_ms", {})
with running(folder / "run", [name], repositories=(repository,)) as host: ...
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import re
import shutil
import statistics
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from tokenizers import Tokenizer

from bench.common_calls import OPTIONS
from kefu_gateway.adapters.triton import build_request
from kefu_gateway.domain.ports import Inference, Sampling
from tests.checkpoints.models import ENGINES, ROOT, WEIGHTS
from tests.fixtures.pictures import page

_REAL = ROOT / "deploy/triton_models/qwen2_5_vl_7b"
_READY_SECONDS = 600.0
Prompt = tuple[list[int], list[bytes]]


def name_of(size: str) -> str:
    return f"bench_{size}"


def model_directory(folder: Path, engine: str, size: str, settings: Mapping[str, Any]) -> Path:
    """A repository with one model, its checkpoint built beside the other weights if it is not there."""
    name = name_of(size)
    weights = WEIGHTS / name
    if not (weights / "made-by").is_file():
        shutil.rmtree(weights, ignore_errors=True)
        python = ENGINES / engine / "bin/python"
        subprocess.run(
            [str(python), "-m", "bench.common_checkpoint", str(weights), size], cwd=ROOT, check=True
        )
        (weights / "made-by").write_text("bench/common_checkpoint.py")
    card = json.loads((_REAL / "1/model.json").read_text(encoding="utf-8"))
    place = Tokenizer.from_file(str(weights / "tokenizer.json")).token_to_id(
        card["picture"]["placeholder"]
    )
    card |= {
        "name": name,
        "engine": engine,
        "weights": {"revision": "bench", "files": []},
        "context_tokens": 4096,
        "picture": {**card["picture"], "placeholder_id": place},
        "memory": {},
        "engine_settings": {"threads": 64, **settings},
    }
    target = folder / "models" / name
    (target / "1").mkdir(parents=True, exist_ok=True)
    (target / "1/model.json").write_text(json.dumps(card, ensure_ascii=False))
    shutil.copyfile(_REAL / "1" / card["chat_template"], target / "1" / card["chat_template"])
    config = (_REAL / "config.pbtxt").read_text().replace(f'"{_REAL.name}"', f'"{name}"')
    # Where the instance stands is for Triton's own backends; an engine takes the device that its settings name.
    (target / "config.pbtxt").write_text(re.sub(r"KIND_(GPU|MODEL)", "KIND_CPU", config))
    return folder / "models"


def prompts(model: Any, count: int, seed: int, tokens: int, pictures: int) -> list[Prompt]:
    """Questions that share no beginning; every `pictures`-th has a picture that nobody saw before (0: none has)."""
    draw = random.Random(seed)
    place = model.card["picture"]["placeholder_id"]
    made: list[Prompt] = []
    for number in range(count):
        ids = [draw.randrange(33, 120) for _ in range(tokens)]
        shown: list[bytes] = []
        if pictures and number % pictures == 0:
            shown = [page(f"No. {seed}-{number}", f"Total|{draw.random():.6f}", size=(448, 336))]
            ids.insert(1, place)
        made.append((ids, shown))
    return made


@dataclass(frozen=True, slots=True)
class Measured:
    """One run over all prompts: tokens a second, and the median time to a first token."""

    rate: float
    first: float
    tokens: int

    @classmethod
    def of(cls, seconds: float, tokens: int, first: Sequence[float]) -> Measured:
        return cls(tokens / seconds, statistics.median(first), tokens)


class Through:
    """Triton, asked as the gateway asks it."""

    def __init__(self, channel: grpc.aio.Channel, model: str) -> None:
        raw: Any = channel
        self._infer: Any = raw.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        self._model = model

    async def run(self, asked: Sequence[Prompt], tokens: int, concurrency: int) -> Measured:
        from tritonclient.grpc import service_pb2

        # Built beforehand: composing a request is the gateway's work.
        sampling = Sampling(max_tokens=tokens, temperature=0.0, top_p=1.0)
        requests = [
            build_request(
                Inference(model=self._model, input_ids=ids, pictures=shown, sampling=sampling)
            ).SerializeToString()
            for ids, shown in asked
        ]
        gate, first = asyncio.Semaphore(concurrency), []

        async def one(request: bytes) -> int:
            async with gate:
                began, last = time.monotonic(), b""
                call = self._infer(timeout=600)
                await call.write(request)
                await call.done_writing()
                async for message in call:
                    if not last:
                        first.append(time.monotonic() - began)
                    last = message
            response = service_pb2.ModelStreamInferResponse.FromString(last)
            if response.error_message:
                raise RuntimeError(response.error_message)
            names = [output.name for output in response.infer_response.outputs]
            usage = response.infer_response.raw_output_contents[names.index("usage")]
            return int.from_bytes(usage[8:12], "little")

        began = time.monotonic()
        written = await asyncio.gather(*map(one, requests))
        return Measured.of(time.monotonic() - began, sum(written), first)


class Directly:
    """The engine in a process of its own (`common_engine_direct`)."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def open(cls, engine: str, model: Path, log: Path) -> AsyncIterator[Directly]:
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *(str(ENGINES / engine / "bin/python"), "-m", "bench.common_engine_direct"),
                *(engine, str(model), str(WEIGHTS / model.name)),
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                limit=1 << 24,
            )
        direct = cls(process)
        try:
            await asyncio.wait_for(direct._answer(log), _READY_SECONDS)
            yield direct
        finally:
            if process.returncode is None:
                assert process.stdin is not None
                process.stdin.close()
                try:
                    await asyncio.wait_for(process.wait(), 20)
                except TimeoutError:
                    process.kill()
                    await process.wait()

    async def run(
        self, asked: Sequence[Prompt], tokens: int, concurrency: int, *, whole: bool
    ) -> Measured:
        order = {
            "prompts": [
                (ids, [base64.b64encode(p).decode() for p in shown]) for ids, shown in asked
            ],
            "tokens": tokens,
            "concurrency": concurrency,
            "whole": whole,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        await self._process.stdin.drain()
        found = await self._answer(None)
        return Measured.of(found["seconds"], found["tokens"], found["first"])

    async def _answer(self, log: Path | None) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            said = log.read_text(errors="replace")[-2000:] if log else ""
            raise RuntimeError(f"the engine called directly ended\n{said}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@asynccontextmanager
async def through(address: str, model: str) -> AsyncIterator[Through]:
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        yield Through(channel, model)
