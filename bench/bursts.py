"""What joining a customer's burst and batching in the model each bring: latency, inferences, busy share, cost.

Customers' bursts of 1 to 5 parts arrive as an open loop (nobody waits for the answer before the next burst comes),
against a Triton model whose device takes a fixed time and a time per item, as a GPU does. Four arms, each with a house
of its own: neither, joining alone, batching alone, both. Device and load are the same in all four, from one seed.

Time to answer: from a burst's last part to the answer that covers it. Cost: seconds that the device was busy, a burst.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import grpc
import numpy as np

from bench.common import machine, parser, percentile, table, verdict, write_json
from kefu.chat.v1 import chat_service_pb2, chat_service_pb2_grpc, question_pb2
from kefu_modelhost.settings import Settings as HostSettings
from kefu_modelhost.weights import pull
from tools.house import ROOT, House, Ports


class Device:
    """What the model's device is like: milliseconds."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.fixed: float = options.fixed_ms
        self.item: float = options.item_ms
        self.delay: float = options.delay_ms


@dataclass(frozen=True)
class Arm:
    name: str
    joining: bool
    batching: bool


ARMS = (
    Arm("neither", joining=False, batching=False),
    Arm("joining", joining=True, batching=False),
    Arm("batching", joining=False, batching=True),
    Arm("both", joining=True, batching=True),
)
BATCH = 16
_DELAY = re.compile(r"(max_queue_delay_microseconds:\s*)\d+")
OPTIONS = [("grpc.max_send_message_length", -1)]


@dataclass(frozen=True)
class Part:
    """One part of a burst: when, in seconds from the start of the load, and whether it is the closing sentence."""

    at: float
    text: str


@dataclass
class Result:
    """What one arm showed."""

    waits: list[float] = field(default_factory=list)
    answers: int = 0
    failures: int = 0
    bursts: int = 0
    seconds: float = 0.0
    device: dict[str, float] = field(default_factory=dict)

    def row(self, name: str) -> list[str]:
        busy = self.device["busy_seconds"]
        return [
            name,
            f"{sum(self.waits) / max(1, len(self.waits)):.2f} s",
            f"{percentile(self.waits, 0.95):.2f} s",
            f"{self.answers / self.bursts:.2f}",
            f"{self.device['served'] / self.bursts:.2f}",
            f"{busy / self.seconds:.0%}",
            f"{busy / self.bursts * 1000:.0f} ms",
            str(self.failures),
        ]

    @property
    def mean(self) -> float:
        return sum(self.waits) / max(1, len(self.waits))

    @property
    def cost(self) -> float:
        return self.device["busy_seconds"] / self.bursts


def main() -> int:
    made = parser("bursts", __doc__ or "")
    made.add_argument("--rate", type=float, default=35.0, help="parts a second that are offered")
    made.add_argument(
        "--seconds", type=float, default=30.0, help="how long each arm is offered them"
    )
    made.add_argument(
        "--gap", type=float, default=2.0, help="most seconds between two parts of a burst"
    )
    made.add_argument("--fixed-ms", type=float, default=24.0, help="device time of a batch")
    made.add_argument("--item-ms", type=float, default=4.0, help="device time of each item in it")
    made.add_argument(
        "--delay-ms", type=float, default=100.0, help="how long Triton waits for a batch to fill"
    )
    made.add_argument("--seed", type=int, default=7)
    options = made.parse_args()
    bursts = list(draw(options.rate, options.seconds, options.gap, options.seed))
    print(
        f"{len(bursts)} bursts, {sum(map(len, bursts))} parts at {options.rate:g}/s for {options.seconds:g} s, "
        f"gaps 0 to {options.gap:g} s; device {options.fixed_ms:g} ms + {options.item_ms:g} ms an item\n",
        flush=True,
    )
    results = {}
    for arm in ARMS:
        results[arm.name] = asyncio.run(run(arm, bursts, Device(options)))
        print(f"  {arm.name}: done", flush=True)
    report(results)
    document = {
        "machine": machine(),
        "arms": {
            name: {
                "mean": one.mean,
                "p95": percentile(one.waits, 0.95),
                "cost": one.cost,
                **one.device,
            }
            for name, one in results.items()
        },
    }
    write_json(options.json, document)
    return 0


def report(results: dict[str, Result]) -> None:
    header = ["arm", "mean", "p95", "answers", "inferences", "busy", "cost", "failed"]
    print("\n" + table(header, [one.row(name) for name, one in results.items()]))
    print("answers, inferences and cost are per burst; busy is the device's share of the time\n")
    both, neither = results["both"], results["neither"]
    print(verdict("latency, both / neither", round(both.mean / neither.mean, 3), 0.5, unit="×"))
    print(verdict("cost, both / neither", round(both.cost / neither.cost, 3), 0.5, unit="×"))
    for name in ("joining", "batching"):
        one = results[name]
        print(
            f"        {name} alone: latency {one.mean / neither.mean:.2f}×, cost {one.cost / neither.cost:.2f}×"
        )


def draw(rate: float, seconds: float, gap: float, seed: int) -> Iterator[list[Part]]:
    """Bursts as a Poisson process; each of 1 to 5 parts, pictures first and a sentence last."""
    chance = random.Random(seed)
    now = 0.0
    while True:
        now += chance.expovariate(rate / 3)  # 3 parts a burst in the mean
        if now > seconds:
            return
        count = chance.randint(1, 5)
        at, parts = now, []
        for number in range(count):
            parts.append(Part(at, "which one is broken?" if number == count - 1 else ""))
            at += chance.uniform(0, gap)
        yield parts


async def run(arm: Arm, bursts: list[list[Part]], like: Device) -> Result:
    folder = Path(tempfile.mkdtemp(prefix="kefu-bursts-"))
    try:
        repository = folder / "models"
        weights = write_model(repository, folder / "weights", arm, like)
        environment = {"KEFU_GATEWAY_STATE_DIR": str(folder / "state")}
        if not arm.joining:
            environment |= {
                "KEFU_GATEWAY_BURST_REQUESTS": "1",
                "KEFU_GATEWAY_BURST_WINDOW_SECONDS": "0",
            }
        async with House.open(
            folder / "run",
            Ports.free(),
            models=("echo",),
            repository=repository,
            weights=weights,
            environment=environment,
        ) as house:
            await house.ready(seconds=120)
            return await offer(house, bursts)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_model(repository: Path, weights: Path, arm: Arm, like: Device) -> Path:
    """The echo model with this device, and its tokenizer."""
    shutil.copytree(ROOT / "tests/models/echo", repository / "echo")
    card = repository / "echo/1/model.json"
    raw: dict[str, Any] = json.loads(card.read_text())
    raw["engine_settings"] |= {
        "fixed_ms": like.fixed,
        "item_ms": like.item,
        "tokens": 8,
        "device_batch": BATCH if arm.batching else 1,
    }
    card.write_text(json.dumps(raw))
    config = repository / "echo/config.pbtxt"
    microseconds = round(like.delay * 1000) if arm.batching else 0
    text, changed = _DELAY.subn(rf"\g<1>{microseconds}", config.read_text())
    assert changed == 1, "the echo model's configuration has no queue delay"
    config.write_text(text)
    pull("echo", HostSettings(model_repositories=str(repository), weights=weights))
    return weights


async def offer(house: House, bursts: list[list[Part]]) -> Result:
    result = Result(bursts=len(bursts))
    picture = small_picture()
    before = await asyncio.to_thread(device, house)
    async with grpc.aio.insecure_channel(house.gateway, options=OPTIONS) as channel:
        chat = chat_service_pb2_grpc.ChatServiceStub(channel)
        start = time.monotonic()
        tasks = [
            asyncio.create_task(burst(chat, number, parts, start, picture, result))
            for number, parts in enumerate(bursts)
        ]
        await asyncio.gather(*tasks)
    result.seconds = time.monotonic() - start
    # The backend hands its counters to Triton a few times a second, and Triton refreshes its page every two.
    await asyncio.sleep(3)
    after = await asyncio.to_thread(device, house)
    result.device = {name: after[name] - before[name] for name in after}
    return result


async def burst(
    chat: chat_service_pb2_grpc.ChatServiceStub,
    number: int,
    parts: list[Part],
    start: float,
    picture: bytes,
    result: Result,
) -> None:
    calls = []
    for place, part in enumerate(parts):
        await asyncio.sleep(max(0.0, start + part.at - time.monotonic()))
        made = (
            question_pb2.Part(text=part.text)
            if part.text
            else question_pb2.Part(picture=question_pb2.Picture(data=picture))
        )
        question = question_pb2.Question(
            session_id=f"burst-{number}",
            request_id=f"{number}-{place}",
            parts=[made],
            # Above 0, or equal bursts would come out of the answer cache.
            generation=question_pb2.Generation(temperature=0.25),
        )
        calls.append(asyncio.create_task(ask(chat, question)))
    sent = time.monotonic()
    answered: set[str] = set()
    for place, call in enumerate(calls):
        text = await call
        if text is None:
            result.failures += 1
            continue
        answered.add(text)
        if place == len(calls) - 1:
            result.waits.append(time.monotonic() - sent)
    result.answers += len(answered)


async def ask(
    chat: chat_service_pb2_grpc.ChatServiceStub, question: question_pb2.Question
) -> str | None:
    """The id of the turn that answered: joined requests share their turn's inference, seen by its timings."""
    try:
        response = await chat.Chat(chat_service_pb2.ChatRequest(question=question), timeout=100)
    except grpc.aio.AioRpcError:
        return None
    timings = {timing.stage: timing.milliseconds for timing in response.answer.timings}
    return f"{response.answer.joined_requests}:{timings['infer']}"


def small_picture() -> bytes:
    """A picture that costs the sidecar little: the model is what is measured."""
    noise = np.random.default_rng(1).integers(0, 255, (160, 120, 3), dtype=np.uint8)
    done, encoded = cv2.imencode(".jpg", cv2.GaussianBlur(noise, (9, 9), 3))
    assert done
    return encoded.tobytes()


def device(house: House) -> dict[str, float]:
    """The device's counters, from Triton's metrics."""
    url = f"http://127.0.0.1:{house.ports.triton_metrics}/metrics"
    with urllib.request.urlopen(url, timeout=5) as response:
        text = response.read().decode()
    found = dict.fromkeys(("busy_seconds", "batches", "served"), 0.0)
    for line in text.splitlines():
        for name in found:
            if line.startswith(f"kefu_echo_device_{name}_total{{"):
                found[name] = float(line.rpartition(" ")[2])
    return found


if __name__ == "__main__":
    raise SystemExit(main())
