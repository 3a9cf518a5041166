"""A caller of the real road, and what tests look at from outside: health, metrics, processes, shared memory."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from prometheus_client.parser import text_string_to_metric_families

from kefu.chat.v1 import answer_pb2, chat_service_pb2, chat_service_pb2_grpc, question_pb2
from kefu_client.errors import KefuCallError
from kefu_client.question import picture, question
from kefu_modelhost import orphans
from kefu_modelhost.orphans import Run
from tools.house import House

Event = chat_service_pb2.StreamChatResponse
MESSAGE_BYTES = 64 * 1024 * 1024
__all__ = ["Heard", "Road", "eventually", "picture", "question"]


@dataclass(slots=True)
class Heard:
    """A stream that was read to its end: kinds of events in order, their text, the answer, and seconds to each."""

    kinds: list[str] = field(default_factory=list)
    text: str = ""
    answer: answer_pb2.Answer = field(default_factory=answer_pb2.Answer)
    first_text_seconds: float = 0.0
    seconds: float = 0.0


@dataclass(slots=True)
class Road:
    """One house, and a channel to its gateway."""

    house: House
    channel: grpc.aio.Channel
    runs: set[str] = field(default_factory=set)

    @property
    def chat(self) -> Any:
        return chat_service_pb2_grpc.ChatServiceStub(self.channel)

    async def ask(
        self, asked: question_pb2.Question, *, seconds: float = 60.0
    ) -> answer_pb2.Answer:
        response = await self.chat.Chat(
            chat_service_pb2.ChatRequest(question=asked), timeout=seconds
        )
        return response.answer  # type: ignore[no-any-return]

    async def events(
        self, asked: question_pb2.Question, *, seconds: float = 60.0
    ) -> AsyncGenerator[Event, None]:
        """The stream. Closing the generator cancels the call."""
        request = chat_service_pb2.StreamChatRequest(question=asked)
        call = self.chat.StreamChat(request, timeout=seconds)
        try:
            async for event in call:
                yield event
        finally:
            call.cancel()

    async def hear(self, asked: question_pb2.Question, *, seconds: float = 60.0) -> Heard:
        heard, start = Heard(), time.monotonic()
        async with aclosing(self.events(asked, seconds=seconds)) as events:
            async for event in events:
                kind = event.WhichOneof("event")
                heard.kinds.append(kind)
                if kind == "delta":
                    heard.first_text_seconds = heard.first_text_seconds or time.monotonic() - start
                    heard.text += event.delta.text
                elif kind == "answer":
                    heard.answer = event.answer
        heard.seconds = time.monotonic() - start
        return heard

    async def refused(
        self, asked: question_pb2.Question, *, seconds: float = 60.0
    ) -> KefuCallError:
        """The failure that a question must end with."""
        try:
            answer = await self.ask(asked, seconds=seconds)
        except grpc.aio.AioRpcError as failure:
            return KefuCallError.of(failure)
        raise AssertionError(f"it was answered: {answer.text!r}")

    async def answers(self, asked: question_pb2.Question) -> bool:
        """Whether a question gets its answer now."""
        try:
            await self.ask(asked, seconds=60)
        except grpc.aio.AioRpcError:
            return False
        return True

    async def serving(self, service: str) -> bool:
        """What grpc.health.v1 says of a service; False where nobody says anything."""
        check = self.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            response = await check(health_pb2.HealthCheckRequest(service=service), timeout=30)
        except grpc.aio.AioRpcError:
            return False
        return bool(response.status == health_pb2.HealthCheckResponse.SERVING)

    async def gateway_metrics(self) -> dict[str, float]:
        return await _samples(self.house.ports.gateway_metrics)

    async def triton_metrics(self) -> dict[str, float]:
        return await _samples(self.house.ports.triton_metrics)

    def run(self) -> Run:
        """The present start of Triton, whose id its processes and shared memory carry; remembered in `runs`."""
        found = orphans.recorded(self.house.folder / "triton/run.json")
        assert found is not None, "the model host has recorded no run"
        self.runs.add(found.id)
        return found


async def _samples(port: int) -> dict[str, float]:
    """Every sample of an exposition by its name and labels, as `name{a="b"}` with the labels in order."""

    def fetch() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as response:
            text: str = response.read().decode()
            return text

    found = {}
    for family in text_string_to_metric_families(await asyncio.to_thread(fetch)):
        for sample in family.samples:
            labels = ",".join(f'{key}="{value}"' for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def eventually(
    condition: Callable[[], Awaitable[bool]], what: str, *, seconds: float
) -> float:
    """Asks until it is so; the seconds that it took. Fails, saying what did not happen, after `seconds`."""
    start = time.monotonic()
    while not await condition():
        assert time.monotonic() - start < seconds, f"after {seconds:g} s still not: {what}"
        await asyncio.sleep(0.05)
    return time.monotonic() - start
