"""The arms of the benchmarks of engines: through Triton, through the gateway, and the engine called directly.

Each takes all prompts at once and keeps `concurrency` of them going; it says how many tokens came a second. A run that
gave another number of tokens than was asked for raises RuntimeError: the arms would not have done the same work.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
from tritonclient.grpc import service_pb2

from bench.common import cpu_seconds
from bench.common_calls import OPTIONS
from bench.common_engine import Measured, Prompt
from kefu.chat.v1 import chat_service_pb2 as chat
from kefu.chat.v1 import question_pb2
from kefu_gateway.adapters.triton import build_request
from kefu_gateway.domain.ports import Inference, Sampling
from tests.checkpoints.models import ENGINES, ROOT, WEIGHTS

_READY_SECONDS = 600.0
_CALL_SECONDS = 600.0
# Tokens, the moment of the first, messages.
_Told = tuple[int, float, int]


class Through:
    """Triton, asked as the gateway asks it, every response read. `whole`: nothing is wanted but the answer."""

    def __init__(self, channel: grpc.aio.Channel, model: str) -> None:
        raw: Any = channel
        self._infer: Any = raw.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        self._model = model

    async def run(
        self, asked: Sequence[Prompt], tokens: int, concurrency: int, *, whole: bool = False
    ) -> Measured:
        # Built beforehand: composing a request is the gateway's work.
        requests = [self._request(p, tokens, whole).SerializeToString() for p in asked]

        async def one(request: bytes) -> _Told:
            call = self._infer(timeout=_CALL_SECONDS)
            await call.write(request)
            await call.done_writing()
            written, first, messages = 0, 0.0, 0
            async for message in call:
                first = first or time.monotonic()
                response = service_pb2.ModelStreamInferResponse.FromString(message)
                if response.error_message:
                    raise RuntimeError(response.error_message)
                # The contract's first output is token_ids, INT32.
                written += len(response.infer_response.raw_output_contents[0]) // 4
                messages += 1
            return written, first, messages

        return await _timed(one, requests, concurrency, tokens)

    def _request(self, prompt: Prompt, tokens: int, whole: bool) -> service_pb2.ModelInferRequest:
        sampling = Sampling(max_tokens=tokens, temperature=0.0, top_p=1.0)
        inference = Inference(
            model=self._model,
            input_ids=prompt.ids,
            pictures=prompt.pictures,
            sampling=sampling,
            streamed=not whole,
        )
        return build_request(inference)


class Gateway:
    """Our own front door; what comes back as a stream of deltas, or whole."""

    def __init__(self, channel: grpc.aio.Channel, model: str) -> None:
        raw: Any = channel
        self._whole: Any = raw.unary_unary("/kefu.chat.v1.ChatService/Chat")
        self._streamed: Any = raw.unary_stream("/kefu.chat.v1.ChatService/StreamChat")
        self._model = model

    async def run(
        self, asked: Sequence[Prompt], tokens: int, concurrency: int, *, whole: bool
    ) -> Measured:
        requests = [
            chat.ChatRequest(
                question=question_pb2.Question(
                    model=self._model,
                    parts=[question_pb2.Part(text=p.text)],
                    language="zh",
                    generation=question_pb2.Generation(
                        max_tokens=tokens, temperature=0.0, top_p=1.0
                    ),
                )
            ).SerializeToString()
            for p in asked
        ]

        # Counted over all: the other arm must read the same prompts.
        read = 0

        async def one_whole(request: bytes) -> _Told:
            nonlocal read
            response = chat.ChatResponse.FromString(
                await self._whole(request, timeout=_CALL_SECONDS)
            )
            read += response.answer.usage.prompt_text_tokens
            return response.answer.usage.completion_tokens, time.monotonic(), 1

        async def one_streamed(request: bytes) -> _Told:
            nonlocal read
            written, first, messages = 0, 0.0, 0
            async for message in self._streamed(request, timeout=_CALL_SECONDS):
                response = chat.StreamChatResponse.FromString(message)
                messages += 1
                if response.WhichOneof("event") == "delta":
                    first = first or time.monotonic()
                elif response.WhichOneof("event") == "answer":
                    written = response.answer.usage.completion_tokens
                    read += response.answer.usage.prompt_text_tokens
            return written, first, messages

        one = one_whole if whole else one_streamed
        measured = await _timed(one, requests, concurrency, tokens)
        wanted = sum(len(p.ids) for p in asked)
        if read != wanted:
            raise RuntimeError(f"the gateway's prompts had {read} tokens, the other arm's {wanted}")
        return measured


class Directly:
    """The engine in a process of its own (`common_engine_direct`)."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    @classmethod
    @asynccontextmanager
    async def open(
        cls, engine: str, model: Path, log: Path, environment: Mapping[str, str]
    ) -> AsyncIterator[Directly]:
        """`environment`: what the model host was given beside this process's own; the rest is as it sets it."""
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *(str(ENGINES / engine / "bin/python"), "-m", "bench.common_engine_direct"),
                *(engine, str(model), str(WEIGHTS / model.name)),
                cwd=ROOT,
                env={**os.environ, **environment, "MALLOC_ARENA_MAX": "2"},
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
        self,
        asked: Sequence[Prompt],
        tokens: int,
        concurrency: int,
        *,
        whole: bool,
        arm: str = "direct",
    ) -> Measured:
        """`arm`: direct, or (vLLM's alone) `backend`, our code around it in the same process."""
        order = {
            "prompts": [
                (p.ids, [base64.b64encode(data).decode() for data in p.pictures]) for p in asked
            ],
            "tokens": tokens,
            "concurrency": concurrency,
            "whole": whole,
            "arm": arm,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        await self._process.stdin.drain()
        found = await self._answer(None)
        _checked(found["tokens"], len(asked) * tokens)
        return Measured.of(found["seconds"], found["tokens"], found["first"], found["messages"])

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


async def _timed(
    one: Callable[[bytes], Awaitable[_Told]],
    requests: Sequence[bytes],
    concurrency: int,
    tokens: int,
) -> Measured:
    gate, first = asyncio.Semaphore(concurrency), []

    async def gated(request: bytes) -> _Told:
        async with gate:
            began = time.monotonic()
            told = await one(request)
            first.append(told[1] - began)
            return told

    began = time.monotonic()
    told = await asyncio.gather(*map(gated, requests))
    seconds = time.monotonic() - began
    written = sum(count for count, _, _ in told)
    _checked(written, len(requests) * tokens)
    return Measured.of(seconds, written, first, sum(messages for _, _, messages in told))


def _checked(written: int, wanted: int) -> None:
    if written != wanted:
        raise RuntimeError(f"{written} tokens came where {wanted} were asked for")


def family(root: int) -> dict[int, str]:
    """A process and all that it started, by process id; their names as the system has them."""
    parents: dict[int, tuple[int, str]] = {}
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
            parents[int(folder.name)] = (int(rest.split()[1]), name)
    found: dict[int, str] = {}
    for pid in parents:
        above, seen = pid, 0
        while above != root and above in parents and seen < len(parents):
            above, seen = parents[above][0], seen + 1
        if above == root:
            found[pid] = parents[pid][1]
    return found


class Cpu:
    """CPU seconds by role: `Cpu({"client": os.getpid(), "direct": pid})`; a role's value is of the process and all
    that it started, `client` alone without them."""

    def __init__(self, processes: Mapping[str, int]) -> None:
        self._roles: dict[int, str] = {}
        for role, pid in processes.items():
            if pid == os.getpid():
                self._roles[pid] = role
            else:
                self._roles |= {p: f"{role}: {name}" for p, name in family(pid).items()}

    async def over(self, run: Awaitable[Measured]) -> Measured:
        before, busy, began = self._now(), _busy(), time.monotonic()
        measured = await run
        after, busy = self._now(), _busy() - busy
        used = {role: after[role] - before.get(role, 0.0) for role in after}
        whole = (time.monotonic() - began) * (os.cpu_count() or 1)
        strangers = max(0.0, busy - sum(used.values())) / whole
        return replace(measured, cpu=used, strangers=strangers)

    def _now(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for pid, role in self._roles.items():
            with suppress(OSError):
                found[role] = found.get(role, 0.0) + cpu_seconds(pid)
        return found


def _busy() -> float:
    """CPU seconds that the machine has worked since its start, for anybody."""
    user, nice, system, _idle, _iowait, *others = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK")


def together(runs: Iterable[Measured]) -> dict[str, float]:
    """CPU milliseconds a token by role, over all runs."""
    runs = list(runs)
    tokens = sum(run.tokens for run in runs)
    roles = {role for run in runs for role in (run.cpu or {})}
    return {
        role: 1000 * sum((run.cpu or {}).get(role, 0.0) for run in runs) / tokens for role in roles
    }
