"""Two gateways on one Valkey, one killed (-9) in the middle: are parts lost, answered twice, or out of order?

Every session sends rounds of two parts at once, each to a gateway drawn by chance, so a turn's parts meet through the
store. A caller whose gateway dies asks the other one with the same request_id, as a real one does. In the end every
session's transcript is read back and compared with what was sent and with what each caller was told.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from bench.common import machine, parser, verdict, write_json
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

RETRY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}
TRIES = 60


@dataclass
class Outcome:
    """What was found. `told`: request id to the answer that its caller was given."""

    parts: int = 0
    told: dict[str, str] = field(default_factory=dict)
    retries: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    contradicted: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    turns: int = 0
    seconds: float = 0.0
    slowest: float = 0.0


class Callers:
    """Clients of both gateways."""

    def __init__(self, channels: Sequence[grpc.aio.Channel], seed: int) -> None:
        self._chats = [chat_service_pb2_grpc.ChatServiceStub(channel) for channel in channels]
        self._chance = random.Random(seed)
        self.outcome = Outcome()

    async def session(self, name: str, rounds: int, together: asyncio.Semaphore) -> None:
        async with together:
            for number in range(rounds):
                ids = [f"{name}.{number}.{part}" for part in "ab"]
                await asyncio.gather(*(self.ask(name, request_id) for request_id in ids))

    async def ask(self, session: str, request_id: str) -> None:
        self.outcome.parts += 1
        question = question_pb2.Question(
            session_id=session,
            request_id=request_id,
            parts=[question_pb2.Part(text=f"part {request_id}")],
            generation=question_pb2.Generation(temperature=0.25, max_tokens=64),
        )
        start = time.monotonic()
        for attempt in range(TRIES):
            chat = self._chance.choice(self._chats)
            try:
                response = await chat.Chat(
                    chat_service_pb2.ChatRequest(question=question), timeout=60
                )
            except grpc.aio.AioRpcError as error:
                if error.code() not in RETRY:
                    raise
                self.outcome.retries[error.code().name] += 1
                await asyncio.sleep(min(1.0, 0.05 * 2**attempt))
                continue
            self.outcome.told[request_id] = response.answer.text
            self.outcome.slowest = max(self.outcome.slowest, time.monotonic() - start)
            return


async def transcript(
    sessions: session_service_pb2_grpc.SessionServiceStub, name: str, outcome: Outcome
) -> None:
    """Reads a session back and notes what is wrong with it."""
    seen: Counter[str] = Counter()
    order: list[int] = []
    token = ""
    while True:
        page = await sessions.ListTurns(
            session_service_pb2.ListTurnsRequest(session_id=name, page_size=100, page_token=token),
            timeout=30,
        )
        for turn in page.turns:
            outcome.turns += 1
            for part in turn.parts:
                seen[part.request_id] += 1
                order.append(int(part.request_id.split(".")[1]))
                if outcome.told.get(part.request_id) != turn.answer.text:
                    outcome.contradicted.append(part.request_id)
        token = page.next_page_token
        if not token:
            break
    sent = {one for one in outcome.told if one.startswith(f"{name}.")}
    outcome.lost += sorted(sent - set(seen))
    outcome.doubled += [one for one, count in seen.items() if count > 1]
    if order != sorted(order):
        outcome.disordered.append(name)


async def measure(
    folder: Path, *, sessions: int, rounds: int, together: int, kill: bool, seed: int
) -> Outcome:
    """Runs everything in `folder` and gives what was found."""
    weights = folder / "weights"
    models = ROOT / "tests/models"
    pull("echo", HostSettings(model_repositories=str(models), weights=weights))
    with ValkeyServer(folder / "valkey") as valkey:
        environment = {
            "KEFU_GATEWAY_SESSIONS": valkey.url,
            "KEFU_GATEWAY_STATE_DIR": str(folder / "state"),
            "KEFU_GATEWAY_MAX_TURNS": "4096",
            "KEFU_GATEWAY_MAX_QUEUE": "4096",
            "KEFU_GATEWAY_HISTORY_ROUNDS": "2",
            "KEFU_GATEWAY_LOG_LEVEL": "warning",
        }
        async with House.open(
            folder / "run",
            Ports.free(),
            models=("echo",),
            repository=models,
            weights=weights,
            environment=environment,
        ) as house:
            second = Ports.free()
            await house.keeper.start(
                "gateway-2",
                [sys.executable, "-m", "kefu_gateway"],
                {
                    **house.keeper.kept["gateway"].environment,
                    "KEFU_GATEWAY_ADDRESS": f"127.0.0.1:{second.gateway}",
                    "KEFU_GATEWAY_METRICS_ADDRESS": "",
                },
            )
            await house.ready(seconds=120)
            addresses = [house.gateway, f"127.0.0.1:{second.gateway}"]
            return await drive(house, addresses, sessions, rounds, together, kill, seed)


async def drive(
    house: House,
    addresses: Sequence[str],
    sessions: int,
    rounds: int,
    together: int,
    kill: bool,
    seed: int,
) -> Outcome:
    async with (
        grpc.aio.insecure_channel(addresses[0]) as first,
        grpc.aio.insecure_channel(addresses[1]) as other,
    ):
        callers = Callers([first, other], seed)
        limit = asyncio.Semaphore(together)
        names = [f"s{number}" for number in range(sessions)]
        start = time.monotonic()
        running = asyncio.gather(*(callers.session(name, rounds, limit) for name in names))
        if kill:
            while len(callers.outcome.told) < sessions * rounds:  # half of the parts
                await asyncio.sleep(0.05)
            os.kill(house.keeper.kept["gateway"].pid, signal.SIGKILL)
        await running
        outcome = callers.outcome
        outcome.seconds = time.monotonic() - start
        stub = session_service_pb2_grpc.SessionServiceStub(other)
        for name in names:
            await transcript(stub, name, outcome)
        return outcome


def main() -> int:
    made = parser("handover", __doc__ or "")
    made.add_argument("--sessions", type=int, default=1000)
    made.add_argument("--rounds", type=int, default=5, help="rounds of two parts each")
    made.add_argument("--together", type=int, default=64, help="sessions at once")
    made.add_argument("--no-kill", action="store_true", help="let both gateways live")
    made.add_argument("--seed", type=int, default=7)
    options = made.parse_args()
    if valkey_program() is None:
        print("no Valkey here: ./dev setup installs one", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="kefu-handover-") as folder:
        outcome = asyncio.run(_measure(Path(folder), options))
    report(outcome, options)
    return 0


async def _measure(folder: Path, options: argparse.Namespace) -> Outcome:
    return await measure(
        folder,
        sessions=options.sessions,
        rounds=options.rounds,
        together=options.together,
        kill=not options.no_kill,
        seed=options.seed,
    )


def report(outcome: Outcome, options: argparse.Namespace) -> None:
    rate = outcome.parts / outcome.seconds
    print(
        f"\n{outcome.parts} parts of {options.sessions} sessions over two gateways in {outcome.seconds:.1f} s "
        f"({rate:.0f}/s), joined into {outcome.turns} turns; asked again: {dict(outcome.retries) or 'never'}; "
        f"the slowest answer took {outcome.slowest:.1f} s\n"
    )
    unanswered = outcome.parts - len(outcome.told)
    found = {
        "callers without an answer": unanswered,
        "parts lost": len(outcome.lost),
        "parts answered twice": len(outcome.doubled),
        "callers told another answer than the transcript's": len(outcome.contradicted),
        "transcripts out of order": len(outcome.disordered),
    }
    for name, count in found.items():
        print(verdict(name, count, 0))
    write_json(options.json, {"machine": machine(), "parts": outcome.parts, **found})


if __name__ == "__main__":
    raise SystemExit(main())
