"""What remembering a turn costs, store by store, beside the bare cost of the disk and the socket.

    ./dev bench stores [--turns N] [--callers N] [--folder FOLDER] [--json FILE]

Each turn is what a gateway does for one: the request goes into the inbox and the lease is taken (submit), the turn is
written down for good (commit), the lease is given back (release). First one caller, in sessions of 5 turns; then
several callers at once, each in sessions of its own. The answer is a large one, with every field set: 2 KB as JSON.

The baseline is measured in the same run: a 4 KiB append flushed with fdatasync, which nothing durable can be faster
than, and the smallest thing that the store can be asked. Valkey runs once as a durable store must (`appendfsync
always`) and once as most are run. The figures of a busy machine are worth little: the load before is printed.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from bench.common import machine, parser, percentile, table, verdict, write_json
from kefu_gateway.adapters.stores.sqlite import SqliteSessions
from kefu_gateway.adapters.stores.valkey import ValkeySessions
from kefu_gateway.domain.session import SessionKey, SessionStore
from tests.contract.stores.builders import entry, turn
from tests.contract.stores.servers import ValkeyServer, valkey_program

TURNS_A_SESSION = 5
TARGET_MS = 2.0


async def one_turn(store: SessionStore, key: SessionKey, number: int) -> tuple[float, float, float]:
    """Seconds of submit, commit and release."""
    request_id = f"r-{number}"
    sent, made = entry(request_id), turn(number, request_ids=(request_id,))
    begun = time.perf_counter()
    submission = await store.submit(key, sent, holder="bench", lease_seconds=30)
    submitted = time.perf_counter()
    assert submission.fence is not None
    await store.commit(key, submission.fence, made, seconds_to_live=3600)
    committed = time.perf_counter()
    assert await store.release(key, submission.fence)
    return submitted - begun, committed - submitted, time.perf_counter() - committed


async def turns(
    store: SessionStore, name: str, count: int, callers: int
) -> tuple[list[tuple[float, float, float]], float]:
    """The times of so many turns, and turns a second."""
    found: list[tuple[float, float, float]] = []

    async def caller(which: int) -> None:
        for session in range(count // callers // TURNS_A_SESSION):
            key = SessionKey("bench", f"{name}-{which}-{session}")
            for number in range(1, TURNS_A_SESSION + 1):
                took = await one_turn(store, key, number)
                found.append(took)

    begun = time.perf_counter()
    await asyncio.gather(*(caller(which) for which in range(callers)))
    return found, len(found) / (time.perf_counter() - begun)


def flushes(folder: Path, count: int) -> list[float]:
    """Seconds of a 4 KiB append with fdatasync."""
    found = []
    number = os.open(folder / "flushed", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        for _ in range(count):
            begun = time.perf_counter()
            os.write(number, b"x" * 4096)
            os.fdatasync(number)
            found.append(time.perf_counter() - begun)
    finally:
        os.close(number)
    return found


async def pings(store: SessionStore, count: int) -> list[float]:
    found = []
    for _ in range(count):
        begun = time.perf_counter()
        await store.ping()
        found.append(time.perf_counter() - begun)
    return found


@asynccontextmanager
async def valkey(folder: Path, fsync: str) -> AsyncIterator[SessionStore]:
    with ValkeyServer(folder / f"valkey-{fsync}", fsync=fsync) as server:
        async with ValkeySessions.open(server.url) as store:
            yield store


def row(name: str, seconds: list[float], rate: float | None = None) -> list[str]:
    figures = [f"{percentile(seconds, share) * 1000:.3f}" for share in (0.5, 0.95, 0.99)]
    return [name, *figures, "" if rate is None else f"{rate:.0f}"]


async def measure(folder: Path, count: int, callers: int) -> tuple[list[list[str]], list[str]]:
    """The table's rows, and a verdict a store."""
    rows = [row("baseline: fdatasync of 4 KiB", flushes(folder, count))]
    verdicts = []
    stores: dict[str, AbstractAsyncContextManager[SessionStore]] = {
        "sqlite": SqliteSessions.open(folder / "sessions.db")
    }
    if valkey_program() is None:
        print("left out: there is no Valkey and no Redis here")
    else:
        for fsync in ("always", "everysec"):
            stores[f"valkey {fsync}"] = valkey(folder, fsync)
    for name, place in stores.items():
        async with place as store:
            await turns(store, "warm", 50, 1)  # scripts, statements and files are there now
            rows.append(row(f"baseline: {name}, ping", await pings(store, count)))
            alone, rate = await turns(store, "alone", count, 1)
            for place_in_turn, step in enumerate(("submit", "commit", "release")):
                rows.append(row(f"{name}, {step}", [took[place_in_turn] for took in alone]))
            both = [took[0] + took[1] for took in alone]
            rows.append(row(f"{name}, submit + commit", both, rate))
            p50 = round(percentile(both, 0.5) * 1000, 3)
            verdicts.append(verdict(f"{name}, submit + commit, p50", p50, TARGET_MS, unit=" ms"))
            crowd, rate = await turns(store, "crowd", count, callers)
            both = [took[0] + took[1] for took in crowd]
            rows.append(row(f"{name}, submit + commit, {callers} callers", both, rate))
    return rows, verdicts


def main() -> int:
    options = parser("stores", __doc__ or "")
    options.add_argument("--turns", type=int, default=2000, help="turns a measurement")
    options.add_argument("--callers", type=int, default=16, help="callers at once")
    options.add_argument(
        "--folder", type=Path, help="where the stores are; default: a temporary folder"
    )
    chosen = options.parse_args()
    about = machine()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        rows, verdicts = asyncio.run(measure(Path(folder), chosen.turns, chosen.callers))
    header = ["milliseconds", "p50", "p95", "p99", "turns/s"]
    print(f"{about['cpu']}, {about['cores']} cores, load before {about['load_before']}")
    print(table(header, rows))
    print(*verdicts, sep="\n")
    write_json(chosen.json, {"machine": about, "header": header, "rows": rows})
    return 1 if any(line.startswith("MISSED") for line in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
