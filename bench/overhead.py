"""What metrics and traces cost: turns a core of gateways that differ in nothing else, in one interleaved run.

    ./dev bench overhead [--rounds 12] [--seconds 1.5] [--json FILE]

Each gateway is a process of its own on the same core, in front of a stand-in that gives Triton's recorded answer at
once: the least work a turn can be, so what watching costs is the largest share that it can be. One round measures every
gateway once, in an order that changes; a gateway's figure is the median of its rounds' ratios to the one that watches
nothing. The spans go to a collector that speaks OTLP, on the other core. "turns a core" is turns by CPU second: on a
machine that others use too, it moves less than turns by second.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.common import cpu_seconds, machine, parser, run, table, verdict, write_json
from bench.common_calls import Call, Direct, Gateway
from bench.common_photo import photo
from bench.common_rig import Rig, open_rig
from kefu_gateway.config import Settings
from tests.fakes.collector import FakeCollector

AT_ONCE = 16
MOST = 0.03
NOTHING, METRICS, BOTH, ALL = "nothing", "metrics", "metrics and traces", "every trace sampled"
DEFAULT_RATIO = Settings().trace_ratio

_numbers: Iterator[int] = itertools.count(1)


@dataclass(slots=True)
class Arm:
    """One gateway, and its figures by round: turns a second, turns a CPU second."""

    name: str
    call: Call
    pid: int
    rates: list[float] = field(default_factory=list)
    a_core: list[float] = field(default_factory=list)

    async def measure(self, seconds: float) -> None:
        stop_at = time.perf_counter() + seconds
        cpu, start = cpu_seconds(self.pid), time.perf_counter()
        turns = sum(await asyncio.gather(*(self._until(stop_at) for _ in range(AT_ONCE))))
        wall, used = time.perf_counter() - start, cpu_seconds(self.pid) - cpu
        self.rates.append(turns / wall)
        self.a_core.append(turns / used)

    async def _until(self, stop_at: float) -> int:
        count = 0
        while time.perf_counter() < stop_at:
            await self.call(next(_numbers))
            count += 1
        return count

    def against(self, other: Arm) -> tuple[float, float]:
        """Medians of the rounds' ratios: turns a CPU second, turns a second."""
        return (
            median(a / b for a, b in zip(self.a_core, other.a_core, strict=True)),
            median(a / b for a, b in zip(self.rates, other.rates, strict=True)),
        )


@asynccontextmanager
async def _arms(rig: Rig, collector: FakeCollector, sent: bytes) -> AsyncIterator[list[Arm]]:
    answers = await Direct(rig.triton, rig.card, rig.encoder).record(next(_numbers))
    traced = {
        "KEFU_GATEWAY_TRACES": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "KEFU_GATEWAY_TRACE_RATIO": str(DEFAULT_RATIO),
    }
    environments = {
        NOTHING: {},
        METRICS: {},
        BOTH: traced,
        ALL: {**traced, "KEFU_GATEWAY_TRACE_RATIO": "1"},
    }
    arms: list[Arm] = []
    for name, environment in environments.items():
        key = f"{'picture' if sent else 'text'}-{len(arms)}"
        module = "bench.common_unmeasured" if name == NOTHING else "kefu_gateway"
        channel = await rig.saturated_gateway(key, answers, environment=environment, module=module)
        arms.append(Arm(name, Gateway(channel, sent).whole, rig.pid(key)))
    try:
        yield arms
    finally:
        for number in range(len(arms)):
            key = f"{'picture' if sent else 'text'}-{number}"
            await rig.house.keeper.stop(key)
            await rig.house.keeper.stop(f"{key}-triton")


async def _case(
    rig: Rig, collector: FakeCollector, sent: bytes, options: argparse.Namespace
) -> list[Arm]:
    async with _arms(rig, collector, sent) as arms:
        for arm in arms:  # connections, caches, first imports
            await asyncio.gather(*(arm.call(next(_numbers)) for _ in range(AT_ONCE * 10)))
        chance = random.Random(7)
        for _ in range(options.rounds):
            for arm in chance.sample(arms, len(arms)):
                await arm.measure(options.seconds)
        return arms


async def _bench(options: argparse.Namespace) -> int:
    here = machine()
    print(f"{here['cpu']}, {here['cores']} cores, load {here['load_before']} before", flush=True)
    results, lines = {}, []
    with tempfile.TemporaryDirectory(prefix="kefu-bench-") as temporary:
        async with FakeCollector() as collector, open_rig(Path(temporary)) as rig:
            for case, sent in (("text", b""), ("picture 300 KB", photo())):
                arms = await _case(rig, collector, sent, options)
                bare = arms[0]
                rows = [
                    [
                        arm.name if arm.name != BOTH else f"{arm.name} ({DEFAULT_RATIO:g} sampled)",
                        f"{median(arm.a_core):.0f}",
                        f"{median(arm.rates):.0f}",
                        f"{1 - arm.against(bare)[0]:.1%}",
                        f"{1 - arm.against(bare)[1]:.1%}",
                    ]
                    for arm in arms
                ]
                header = [case, "turns a core", "turns/s", "cost a core", "cost, turns/s"]
                print("\n" + table(header, rows), flush=True)
                results[case] = {arm.name: arm.against(bare) for arm in arms}
                both = next(arm for arm in arms if arm.name == BOTH)
                cost = 1 - both.against(bare)[0]
                lines.append(verdict(f"{case}: metrics and traces", round(cost, 4), MOST))
            print(f"\nspans that arrived: {len(collector.spans)}\n")
    print("\n".join(lines))
    write_json(options.json, {"machine": here, "ratios": results})
    return 0


def main() -> int:
    options = parser("overhead", __doc__ or "")
    options.add_argument("--rounds", type=int, default=12)
    options.add_argument("--seconds", type=float, default=1.5, help="of each gateway in a round")
    return run(_bench(options.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
