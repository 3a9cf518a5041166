"""Asks a gateway as a caller does, and takes the time.

async with Asker.open("127.0.0.1:50051") as asker:
    said = await asker.ask("What is the total?", Path("invoice.png"))
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import grpc

from bench.common import cpu_seconds
from bench.common_calls import OPTIONS
from kefu.chat.v1 import chat_service_pb2, chat_service_pb2_grpc
from kefu_client.question import picture, question
from kefu_modelhost import orphans
from tools.house import House


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An answer, and the seconds from the question to its first word and to its end."""

    text: str
    handover: str
    first_word_seconds: float
    seconds: float


class Asker:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = chat_service_pb2_grpc.ChatServiceStub(channel)

    @classmethod
    @asynccontextmanager
    async def open(cls, address: str) -> AsyncIterator[Self]:
        async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
            await channel.channel_ready()
            yield cls(channel)

    async def ask(self, words: str, shown: Path | None, *, session: str = "") -> Said:
        """Streams one answer. Raises grpc.aio.AioRpcError."""
        parts = [picture(shown)] if shown is not None else []
        asked = question(*parts, words, session_id=session)
        request = chat_service_pb2.StreamChatRequest(question=asked)
        start, first, answer = time.monotonic(), None, None
        async for event in self._stub.StreamChat(request, timeout=110):
            if event.delta.text and first is None:
                first = time.monotonic() - start
            if event.WhichOneof("event") == "answer":
                answer = event.answer
        if answer is None:
            raise RuntimeError("the stream ended without an answer")
        seconds = time.monotonic() - start
        return Said(
            text=answer.text,
            handover=answer.handover.reason,
            first_word_seconds=seconds if first is None else first,
            seconds=seconds,
        )


def house_cpu(house: House) -> float:
    """CPU seconds that all processes of a house have used: ours, Triton with its stubs, the sidecar's workers."""
    run = orphans.recorded(house.folder / "triton/run.json")
    pids = [kept.pid for kept in house.keeper.kept.values()]
    pids += list(orphans.processes(run)) if run else []
    for task in Path(f"/proc/{house.keeper.kept['preprocess'].pid}/task").iterdir():
        pids += [int(child) for child in (task / "children").read_text().split()]
    total = 0.0
    for pid in pids:
        try:
            total += cpu_seconds(pid)
        except FileNotFoundError:  # it ended between the two looks
            continue
    return total
