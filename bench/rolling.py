"""A rolling restart under load: two gateways end and start again, one after the other, while questions come in.

    ./dev bench rolling [--rate 20] [--seconds 10] [--json FILE]

What Kubernetes does to a Deployment, harsher by one: a gateway ends before its successor is there. Callers find the
gateways as they would behind a headless Service: every address of the name in turn, those left out that their health
says no of, and a call that was refused is tried at the next (gRPC's own retryPolicy; the Python client does the same).
A third of the questions are streams that are under way when the signal comes; half belong to sessions, whose
transcripts are read back in the end. One question that ends with an error, whatever the reason, is a failure.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2

from bench.common import machine, parser, percentile, run, verdict, write_json
from kefu.chat.v1 import (
    chat_service_pb2,
    chat_service_pb2_grpc,
    question_pb2,
    session_service_pb2,
    session_service_pb2_grpc,
)
from kefu_modelhost.settings import Settings as HostSettings
from kefu_modelhost.weights import pull
from tests.contract.stores.servers import ValkeyServer, valkey_program
from tools.house import ROOT, House, Ports

SERVICE = "kefu.chat.v1.ChatService"
# What a caller in any language gives its channel (docs: gRPC service config).
SERVICE_CONFIG = json.dumps(
    {
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": SERVICE},
        "methodConfig": [
            {
                "name": [{"service": SERVICE}],
                "retryPolicy": {
                    "maxAttempts": 5,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
    }
)
# About a second each, so that every signal meets answers under way.
DIRECTIVE = "@echo tokens=40 token_ms=25\n"
SESSIONS = 12


@dataclass
class Outcome:
    """What was found. `restarts`: of each gateway its exit code and the seconds that it took to leave."""

    asked: int = 0
    answered: int = 0
    streams: int = 0
    under_way: int = 0  # answers that were running when a gateway was told to leave
    failed: list[str] = field(default_factory=list)
    restarts: list[tuple[int, float]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    broken_sessions: list[str] = field(default_factory=list)
    order: list[list[str]] = field(default_factory=list)


class Load:
    """Questions at an even rate, whatever becomes of them."""

    def __init__(self, channel: grpc.aio.Channel, outcome: Outcome) -> None:
        self._chat = chat_service_pb2_grpc.ChatServiceStub(channel)
        self._numbers = itertools.count(1)
        self._sessions = [asyncio.Lock() for _ in range(SESSIONS)]
        self._outcome = outcome
        self.sent: dict[str, list[str]] = {f"roll-{n}": [] for n in range(SESSIONS)}
        self.running = 0

    async def run(self, rate: float, until: asyncio.Event) -> None:
        start = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in itertools.count(1):
                group.create_task(self._one(next(self._numbers)))
                if until.is_set():
                    return
                await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))

    async def _one(self, number: int) -> None:
        if number % 2:
            await self._ask(f"r-{number}", "", stream=number % 3 == 0)
            return
        place = number // 2 % SESSIONS
        name = f"roll-{place}"
        async with self._sessions[place]:
            if await self._ask(f"r-{number}", name, stream=number % 3 == 0):
                self.sent[name].append(f"r-{number}")

    async def _ask(self, request_id: str, session: str, *, stream: bool) -> bool:
        outcome = self._outcome
        question = question_pb2.Question(
            request_id=request_id,
            session_id=session,
            parts=[question_pb2.Part(text=f"{DIRECTIVE}{request_id}")],
        )
        outcome.asked += 1
        outcome.streams += stream
        self.running += 1
        start = time.monotonic()
        try:
            text = await (self._streamed(question) if stream else self._whole(question))
        except grpc.aio.AioRpcError as error:
            outcome.failed.append(f"{request_id}: {error.code().name} {error.details()}")
            return False
        finally:
            self.running -= 1
        outcome.seconds.append(time.monotonic() - start)
        if request_id not in text:
            outcome.failed.append(f"{request_id}: another answer, {text[:40]!r}")
            return False
        outcome.answered += 1
        return True

    async def _whole(self, question: question_pb2.Question) -> str:
        request = chat_service_pb2.ChatRequest(question=question)
        response = await self._chat.Chat(request, timeout=60)
        return str(response.answer.text)

    async def _streamed(self, question: question_pb2.Question) -> str:
        request = chat_service_pb2.StreamChatRequest(question=question)
        text, whole = "", None
        async for event in self._chat.StreamChat(request, timeout=60):
            text += event.delta.text
            if event.WhichOneof("event") == "answer":
                whole = event.answer.text
        return text if text == whole else f"the stream said {text!r} and then {whole!r}"


@dataclass
class Pair:
    """Two gateways of one house."""

    house: House
    addresses: dict[str, str]

    async def restart(self, name: str, outcome: Outcome) -> None:
        """Ends one as a kubelet does, and starts it again at the same address."""
        kept = self.house.keeper.kept[name]
        assert kept.process is not None
        start = time.monotonic()
        await self.house.keeper.stop(name)
        code = kept.process.returncode
        outcome.restarts.append((-1 if code is None else code, time.monotonic() - start))
        outcome.order.append(_events(kept.log.read_text()))
        await self.house.keeper.start(name, kept.command, kept.environment)
        await self.serves(name)

    async def serves(self, name: str) -> None:
        async with (
            asyncio.timeout(60),
            grpc.aio.insecure_channel(
                self.addresses[name],
                options=[
                    ("grpc.initial_reconnect_backoff_ms", 100),
                    ("grpc.max_reconnect_backoff_ms", 200),
                ],
            ) as channel,
        ):
            while not await _serving(channel):
                await asyncio.sleep(0.05)


async def _serving(channel: grpc.aio.Channel) -> bool:
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    try:
        response = await check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=2)
    except grpc.aio.AioRpcError:
        return False
    return bool(response.status == health_pb2.HealthCheckResponse.SERVING)


def _events(log: str) -> list[str]:
    """The events of a gateway's last lines, calls left out."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [str(line["event"]) for line in lines if line["event"] not in ("call", "listening")]


async def measure(
    folder: Path, *, rate: float, seconds: float, settle: float, rounds: int = 1
) -> Outcome:
    """Load for `seconds` before, between and after restarts of both gateways, `rounds` times."""
    weights, models = folder / "weights", ROOT / "tests/models"
    pull("echo", HostSettings(model_repositories=str(models), weights=weights))
    with ValkeyServer(folder / "valkey") as valkey:
        environment = {
            "KEFU_GATEWAY_SESSIONS": valkey.url,
            "KEFU_GATEWAY_STATE_DIR": str(folder / "state"),
            "KEFU_GATEWAY_SETTLE_SECONDS": str(settle),
            "KEFU_GATEWAY_HEALTH_SECONDS": "0.5",
            "KEFU_PREPROCESS_WORKERS": "1",
        }
        async with House.open(
            folder / "run",
            Ports.free(),
            models=("echo",),
            repository=models,
            weights=weights,
            environment=environment,
        ) as house:
            second = f"127.0.0.1:{Ports.free().gateway}"
            await house.keeper.start(
                "gateway-2",
                [sys.executable, "-m", "kefu_gateway"],
                {
                    **house.keeper.kept["gateway"].environment,
                    "KEFU_GATEWAY_ADDRESS": second,
                    "KEFU_GATEWAY_METRICS_ADDRESS": "-",
                },
            )
            pair = Pair(house, {"gateway": house.gateway, "gateway-2": second})
            await house.ready(seconds=120)
            await pair.serves("gateway-2")
            return await _roll(pair, rate, seconds, rounds)


async def _roll(pair: Pair, rate: float, seconds: float, rounds: int) -> Outcome:
    outcome, until = Outcome(), asyncio.Event()
    options = [
        ("grpc.service_config", SERVICE_CONFIG),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
    target = "ipv4:" + ",".join(pair.addresses.values())
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        load = Load(channel, outcome)
        running = asyncio.create_task(load.run(rate, until))
        await asyncio.sleep(seconds)
        for name in [*pair.addresses] * rounds:
            outcome.under_way += load.running
            await pair.restart(name, outcome)
            await asyncio.sleep(seconds)
        until.set()
        await running
        sessions = session_service_pb2_grpc.SessionServiceStub(channel)
        for name, sent in load.sent.items():
            if sent != await _turns(sessions, name):
                outcome.broken_sessions.append(name)
    return outcome


async def _turns(sessions: session_service_pb2_grpc.SessionServiceStub, name: str) -> list[str]:
    """The request ids of a session's turns in order; "?" where the numbers have a gap."""
    response = await sessions.ListTurns(
        session_service_pb2.ListTurnsRequest(session_id=name, page_size=100), timeout=30
    )
    found = []
    for place, turn in enumerate(response.turns, 1):
        found += [part.request_id if turn.number == place else "?" for part in turn.parts]
    return found


def main() -> int:
    made = parser("rolling", __doc__ or "")
    made.add_argument("--rate", type=float, default=20.0, help="questions a second")
    made.add_argument("--seconds", type=float, default=10.0, help="before and after each restart")
    made.add_argument("--settle", type=float, default=1.0, help="KEFU_GATEWAY_SETTLE_SECONDS")
    made.add_argument("--rounds", type=int, default=2, help="restarts of each gateway")
    options = made.parse_args()
    if valkey_program() is None:
        print("no Valkey here: ./dev setup installs one", file=sys.stderr)
        return 1
    return run(_main(options))


async def _main(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="kefu-rolling-") as folder:
        outcome = await measure(
            Path(folder),
            rate=options.rate,
            seconds=options.seconds,
            settle=options.settle,
            rounds=options.rounds,
        )
    print(
        f"\n{outcome.asked} questions at {options.rate:g}/s, {outcome.streams} of them streams; "
        f"{len(outcome.restarts)} restarts, {outcome.under_way} answers under way when the signals came; "
        f"p50 {percentile(outcome.seconds, 0.5):.2f} s, p99 {percentile(outcome.seconds, 0.99):.2f} s, "
        f"slowest {max(outcome.seconds):.2f} s"
    )
    for code, seconds in outcome.restarts:
        print(f"  left with exit code {code} after {seconds:.1f} s")
    for words in outcome.failed[:10]:
        print(f"  {words}")
    print(verdict("failed answers", len(outcome.failed), 0))
    print(
        verdict("sessions that lost, doubled or disordered a turn", len(outcome.broken_sessions), 0)
    )
    found = {"asked": outcome.asked, "streams": outcome.streams, "under_way": outcome.under_way}
    found |= {"failed": len(outcome.failed), "sessions_broken": len(outcome.broken_sessions)}
    write_json(options.json, {"machine": machine(), **found, "restarts": outcome.restarts})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
