"""What metrics and traces cost: turns a core, in one process, with and without them by turns.

    ./dev bench overhead [--rounds 100] [--seconds 0.4] [--json FILE]

One process holds three gateways that differ only in how they trace, and its metrics can be told to stop counting (see
bench/common_unmeasured.py), in front of a stand-in that gives Triton's recorded answer at once: the least work a turn
can be, so what watching costs is the largest share that it can be. A round measures every kind of watching once, in an
order that changes, a fraction of a second each; the figure is the median of the rounds' ratios to the one that watches
nothing, with the interval in which 95 of 100 such medians lie (bootstrap over the rounds). "A core" counts the
process's CPU time, its exporter's threads too; on a machine that others use as well it moves less than turns a second.
The spans go to a collector that speaks OTLP, on the other core, and are sent several times a round, so that each kind
pays for its own.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.common import (
    machine,
    parser,
    percentile,
    run,
    table,
    thread_seconds,
    verdict,
    write_json,
)
from bench.common_calls import Call, Direct, Gateway
from bench.common_photo import photo
from bench.common_rig import Rig, open_rig
from bench.common_unmeasured import COUNTING, QUIET, SAMPLED, TRACED
from kefu_gateway.config import Settings
from tests.fakes.collector import FakeCollector

AT_ONCE = 16
MOST = 0.03
NOTHING, METRICS, BOTH, ALL = "nothing", "metrics", "metrics and traces", "every trace sampled"
DEFAULT_RATIO = Settings().trace_ratio
_DRAWS = 2000

_numbers: Iterator[int] = itertools.count(1)


@dataclass(slots=True)
class Arm:
    """One kind of watching, and its figures by round: turns a CPU second, turns a second."""

    name: str
    call: Call
    pid: int
    metrics: signal.Signals
    a_core: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    async def warm(self, turns: int) -> None:
        """Also makes sure that the process has heard whether it counts: it answers behind the signal."""
        os.kill(self.pid, self.metrics)
        for _ in range(turns):
            await asyncio.gather(*(self.call(next(_numbers)) for _ in range(AT_ONCE)))

    async def measure(self, seconds: float) -> None:
        await self.warm(1)
        stop_at = time.perf_counter() + seconds
        cpu, start = thread_seconds(self.pid), time.perf_counter()
        turns = sum(await asyncio.gather(*(self._until(stop_at) for _ in range(AT_ONCE))))
        wall, used = time.perf_counter() - start, thread_seconds(self.pid) - cpu
        self.rates.append(turns / wall)
        self.a_core.append(turns / used)

    async def _until(self, stop_at: float) -> int:
        count = 0
        while time.perf_counter() < stop_at:
            await self.call(next(_numbers))
            count += 1
        return count


@dataclass(frozen=True, slots=True)
class Cost:
    """Share of the throughput that is lost: the median of the rounds, and its 95% interval."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, watched: Sequence[float], bare: Sequence[float]) -> Cost:
        costs = [1 - a / b for a, b in zip(watched, bare, strict=True)]
        chance = random.Random(7)
        drawn = [median(chance.choices(costs, k=len(costs))) for _ in range(_DRAWS)]
        return cls(median(costs), percentile(drawn, 0.025), percentile(drawn, 0.975))

    def __str__(self) -> str:
        return f"{self.middle:.1%} ({self.low:.1%} to {self.high:.1%})"


@asynccontextmanager
async def _arms(rig: Rig, collector: FakeCollector, sent: bytes) -> AsyncIterator[list[Arm]]:
    answers = await Direct(rig.triton, rig.card, rig.encoder).record(next(_numbers))
    name = "picture" if sent else "text"
    addresses = {TRACED: rig.free_address(), SAMPLED: rig.free_address()}
    environment = {
        **addresses,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    plain = await rig.saturated_gateway(
        name, answers, environment=environment, module="bench.common_unmeasured"
    )
    traced, sampled = [await rig.connect(address) for address in addresses.values()]
    await asyncio.wait_for(sampled.channel_ready(), 60)
    channels = (
        (NOTHING, plain, QUIET),
        (METRICS, plain, COUNTING),
        (BOTH, traced, COUNTING),
        (ALL, sampled, COUNTING),
    )
    try:
        yield [
            Arm(kind, Gateway(channel, sent).whole, rig.pid(name), metrics)
            for kind, channel, metrics in channels
        ]
    finally:
        await rig.house.keeper.stop(name)
        await rig.house.keeper.stop(f"{name}-triton")


async def _case(
    rig: Rig, collector: FakeCollector, case: str, sent: bytes, options: argparse.Namespace
) -> list[Arm]:
    async with _arms(rig, collector, sent) as arms:
        for arm in arms:  # connections, caches, first imports
            await arm.warm(10)
        chance = random.Random(7)
        for number in range(options.rounds):
            for arm in chance.sample(arms, len(arms)):
                await arm.measure(options.seconds)
            if (number + 1) % 20 == 0:
                cost = Cost.of(arms[2].a_core, arms[0].a_core)
                print(f"{case}: round {number + 1} of {options.rounds}, {BOTH} {cost}", flush=True)
        return arms


async def _bench(options: argparse.Namespace) -> int:
    here = machine()
    print(f"{here['cpu']}, {here['cores']} cores, load {here['load_before']} before", flush=True)
    results, lines = {}, []
    with tempfile.TemporaryDirectory(prefix="kefu-bench-") as temporary:
        async with FakeCollector() as collector, open_rig(Path(temporary)) as rig:
            for case, sent in (("text", b""), ("picture 300 KB", photo())):
                arms = await _case(rig, collector, case, sent, options)
                bare = arms[0]
                a_core = {arm.name: Cost.of(arm.a_core, bare.a_core) for arm in arms}
                rows = [
                    [
                        arm.name if arm.name != BOTH else f"{arm.name} ({DEFAULT_RATIO:g} sampled)",
                        f"{median(arm.a_core):.0f}",
                        f"{median(arm.rates):.0f}",
                        str(a_core[arm.name]),
                        str(Cost.of(arm.rates, bare.rates)),
                    ]
                    for arm in arms
                ]
                header = [case, "turns a core", "turns/s", "cost a core", "cost, turns/s"]
                print("\n" + table(header, rows) + "\n", flush=True)
                results[case] = {
                    name: {"middle": cost.middle, "low": cost.low, "high": cost.high}
                    for name, cost in a_core.items()
                }
                cost = a_core[BOTH].middle
                lines.append(verdict(f"{case}: metrics and traces", round(cost, 4), MOST))
            print(f"spans that arrived: {len(collector.spans)}\n")
    print("\n".join(lines))
    write_json(options.json, {"machine": here, "costs": results})
    return 0


def main() -> int:
    options = parser("overhead", __doc__ or "")
    options.add_argument("--rounds", type=int, default=100)
    options.add_argument(
        "--seconds", type=float, default=0.4, help="of each kind of watching in a round"
    )
    return run(_bench(options.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
