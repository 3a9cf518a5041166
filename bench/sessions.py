"""What a session costs: the time of a session's turn against the same question as a one-off, for each store.

One caller, one question at a time, one-off and session turn alternating, so that both see the same machine. A session
has five turns, then the next begins. The model is the trivial one: what differs is inbox, history and commit.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import grpc

from bench.common import machine, parser, percentile, table, verdict, write_json
from kefu.chat.v1 import chat_service_pb2, chat_service_pb2_grpc, question_pb2
from kefu_modelhost.settings import Settings as HostSettings
from kefu_modelhost.weights import pull
from tests.contract.stores.servers import ValkeyServer, valkey_program
from tools.house import ROOT, House, Ports

ROUNDS = 5
TARGET_MS = 2.0


def main() -> int:
    made = parser("sessions", __doc__ or "")
    made.add_argument("--turns", type=int, default=400, help="turns of each kind")
    options = made.parse_args()
    rows, found = [], {}
    for store in ("sqlite", "valkey"):
        if store == "valkey" and valkey_program() is None:
            print("NOT MEASURED: no Valkey here; ./dev setup installs one", file=sys.stderr)
            continue
        alone, together = asyncio.run(_measure(store, options))
        added = [percentile(together, share) - percentile(alone, share) for share in (0.5, 0.95)]
        found[store] = added[0]
        cells = [percentile(alone, 0.5), percentile(together, 0.5), *added]
        rows.append([store, *(f"{value:.2f}" for value in cells)])
    print(
        table(["store", "one-off p50 ms", "session p50 ms", "added p50", "added p95"], rows), "\n"
    )
    for store, value in found.items():
        print(
            verdict(
                f"a session's turn over a one-off, {store}, p50",
                round(value, 2),
                TARGET_MS,
                unit=" ms",
            )
        )
    write_json(options.json, {"machine": machine(), "added_p50_ms": found})
    return 0


@contextlib.contextmanager
def _store(name: str, folder: Path) -> Iterator[str]:
    if name == "sqlite":
        yield f"sqlite:{folder / 'sessions.db'}"
        return
    with ValkeyServer(folder / "valkey") as server:
        yield server.url


async def _measure(name: str, options: argparse.Namespace) -> tuple[list[float], list[float]]:
    """Milliseconds of one-offs, and of session turns."""
    models = ROOT / "tests/models"
    with tempfile.TemporaryDirectory(prefix="kefu-sessions-") as made:
        folder = Path(made)
        pull("echo", HostSettings(model_repositories=str(models), weights=folder / "weights"))
        with _store(name, folder) as url:
            async with House.open(
                folder / "run",
                Ports.free(),
                models=("echo",),
                repository=models,
                weights=folder / "weights",
                environment={"KEFU_GATEWAY_SESSIONS": url},
            ) as house:
                await house.ready(seconds=120)
                return await _ask(house, options.turns)


async def _ask(house: House, turns: int) -> tuple[list[float], list[float]]:
    alone: list[float] = []
    together: list[float] = []
    async with grpc.aio.insecure_channel(house.gateway) as channel:
        chat = chat_service_pb2_grpc.ChatServiceStub(channel)
        for number in range(turns + ROUNDS):
            for session, into in (("", alone), (f"s{number // ROUNDS}", together)):
                question = question_pb2.Question(
                    session_id=session,
                    parts=[question_pb2.Part(text=f"{number} when will it be sent?")],
                    # Above 0: nothing comes out of the answer cache. The answer's length is the same for both.
                    generation=question_pb2.Generation(temperature=0.25, max_tokens=16),
                )
                start = time.perf_counter()
                await chat.Chat(chat_service_pb2.ChatRequest(question=question), timeout=30)
                into.append((time.perf_counter() - start) * 1000)
    return alone[ROUNDS:], together[ROUNDS:]


if __name__ == "__main__":
    raise SystemExit(main())
