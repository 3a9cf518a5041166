"""What the gateway costs: latency added over Triton alone, turns/s on one core, CPU seconds; text and pictures.

    ./dev bench gateway [--seconds 3] [--rounds 150] [--more] [--json FILE]

Starts everything itself with the trivial model `echo`: the gateway alone on one core; Triton, the sidecar and this
client on the other one. Everything is measured in turn within one run (a question to Triton, the same to the gateway,
to the gateway streamed, to a bare gRPC hop), because machines are noisy: trust differences and ratios more than sums.

Every question is a new one, so nothing comes out of the answer cache. For the picture rows the gateway's cache is off
and the sidecar's is on: the bytes go the whole way, and what the sidecar's work adds is told by itself. A real Triton
on one core cannot keep a gateway busy: the "saturated" rows have a stand-in that gives Triton's recorded responses at
once. What the gateway adds is what Triton and, for a picture, the sidecar do not take when they are asked directly.
"busy" is the gateway's share of its core; "a core" is turns/s divided by it, which other work on the machine hardly
moves.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from bench.common import cpu_seconds, machine, parser, percentile, run, table, verdict, write_json
from bench.common_calls import Call, Direct, Gateway, Hop, Sidecar, prepared
from bench.common_photo import another, photo
from bench.common_rig import Rig, open_rig

AT_ONCE = 16
SLICES = 3
WARM_UP = 10
ADDED_MS, TURNS_A_SECOND, CPU_A_THOUSAND, STREAMED_SHARE = 2.0, 600.0, 1.5, 0.9
# A pause before every token makes Triton send each by itself; 0.05 ms is as good as none.
TOKEN_BY_TOKEN = "@echo token_ms=0.05\n"
NAN = float("nan")

_numbers: Iterator[int] = itertools.count(1)


@dataclass(slots=True)
class Way:
    """One way of asking, and what was measured: milliseconds, turns a second, CPU seconds of the process `pid`."""

    case: str
    name: str
    call: Call
    pid: int
    latencies: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)

    def row(self) -> Row:
        def added(share: float) -> float:
            # Of the distributions, not of pairs: pairs add the noise of both.
            return percentile(self.latencies, share) - percentile(self.alone, share)

        return Row(
            case=self.case,
            way=self.name,
            p50_ms=percentile(self.latencies, 0.5),
            p95_ms=percentile(self.latencies, 0.95),
            added_p50_ms=added(0.5),
            added_p95_ms=added(0.95),
            turns_per_second=median(self.rates or [NAN]),
            cpu_seconds_per_1000=median(self.cpu or [NAN]),
            core_busy=median(self.busy or [NAN]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is shown of one way. NaN: not measured."""

    case: str
    way: str
    p50_ms: float
    p95_ms: float
    added_p50_ms: float
    added_p95_ms: float
    turns_per_second: float
    cpu_seconds_per_1000: float
    core_busy: float

    @property
    def turns_a_busy_second(self) -> float:
        return self.turns_per_second / self.core_busy if self.core_busy else NAN


class Bench:
    """The cases, one after the other, against one rig."""

    def __init__(self, rig: Rig, options: argparse.Namespace) -> None:
        self._rig = rig
        self._rounds: int = options.rounds
        self._seconds: float = options.seconds
        self._more: bool = options.more
        self.rows: list[Row] = []
        self.sidecar: dict[str, float] = {}

    async def run(self) -> None:
        rig, jpeg = self._rig, photo()
        for_model, _ = await prepared(rig.sidecar, rig.card, jpeg)
        self.sidecar = {"sent_bytes": len(jpeg), "prepared_bytes": len(for_model)}
        await self._case("text", b"", b"")
        await self._case("picture 300 KB", jpeg, for_model)
        await self._new_pictures(jpeg)
        if self._more:
            await self._case("token by token", b"", b"", directive=TOKEN_BY_TOKEN)
            await self._case("in a session", b"", b"", session=True)

    async def _case(
        self,
        case: str,
        sent: bytes,
        to_model: bytes,
        *,
        directive: str = "",
        session: bool = False,
    ) -> None:
        rig = self._rig
        direct = Direct(rig.triton, rig.card, rig.encoder, to_model, directive=directive)
        door = Gateway(rig.gateway, sent, directive=directive, session=session)
        hop = Hop(rig.hop, b"x" * 200 + sent)
        pid = rig.pid("gateway")
        ways = [
            Way(case, "whole", door.whole, pid),
            Way(case, "streamed", door.streamed, pid),
            Way(case, "bare hop", hop.ask, rig.pid("hop")),
        ]
        alone = Way(case, "Triton alone", direct.ask, pid)
        behind = [alone]
        if sent:
            known = Sidecar(rig.sidecar, rig.card, sent)
            behind.append(Way(case, "sidecar alone", known.ask, rig.pid("preprocess")))
        await self._latencies(direct, behind, ways)
        await self._rates([*behind, *ways])
        ways[2].alone.clear()
        ways[2].alone.append(0.0)  # behind the hop there is nothing: all of it is added
        answers = await direct.record(next(_numbers))
        name = f"saturated-{len(self.rows)}"
        busy = Gateway(await rig.saturated_gateway(name, answers), sent, session=session)
        saturated = [
            Way(case, "saturated, whole", busy.whole, rig.pid(name)),
            Way(case, "saturated, streamed", busy.streamed, rig.pid(name)),
        ]
        await self._rates(saturated)
        await rig.house.keeper.stop(name)
        await rig.house.keeper.stop(f"{name}-triton")
        self.rows += [way.row() for way in (*behind, *ways, *saturated)]

    async def _latencies(self, direct: Direct, behind: Sequence[Way], ways: Sequence[Way]) -> None:
        """One question at a time, each way in turn. `behind`: what the gateway itself asks; its time is not added."""
        for turn in range(self._rounds + WARM_UP):
            numbers = list(itertools.islice(_numbers, len(behind) + len(ways)))
            direct.build(numbers[:1])
            taken = [
                await _timed(way.call, number)
                for way, number in zip([*behind, *ways], numbers, strict=True)
            ]
            if turn < WARM_UP:  # connections, caches, first imports
                continue
            for way, milliseconds in zip([*behind, *ways], taken, strict=True):
                way.latencies.append(milliseconds)
            for way in ways:
                way.alone.append(sum(taken[: len(behind)]))

    async def _rates(self, ways: Sequence[Way]) -> None:
        """AT_ONCE callers that ask again and again; the ways take turns in short slices."""
        for way in ways:
            await asyncio.gather(*(way.call(next(_numbers)) for _ in range(AT_ONCE)))
        for _ in range(SLICES):
            for way in ways:
                stop_at = time.perf_counter() + self._seconds / SLICES
                cpu, start = cpu_seconds(way.pid), time.perf_counter()
                counts = await asyncio.gather(
                    *(_ask_until(way.call, stop_at) for _ in range(AT_ONCE))
                )
                wall, used = time.perf_counter() - start, cpu_seconds(way.pid) - cpu
                way.rates.append(sum(counts) / wall)
                way.cpu.append(used / sum(counts) * 1000)
                way.busy.append(used / wall)

    async def _new_pictures(self, jpeg: bytes) -> None:
        """Pictures that nobody has seen before: the sidecar really works on each."""
        new = Gateway(self._rig.gateway, lambda: another(jpeg))
        known = Gateway(self._rig.gateway, jpeg)
        news = [await _timed(new.whole, next(_numbers)) for _ in range(20)]
        knowns = [await _timed(known.whole, next(_numbers)) for _ in range(20)]
        self.sidecar |= {
            "new_picture_turn_p50_ms": percentile(news, 0.5),
            "known_picture_turn_p50_ms": percentile(knowns, 0.5),
            "sidecar_adds_p50_ms": percentile(news, 0.5) - percentile(knowns, 0.5),
        }


async def _timed(call: Call, number: int) -> float:
    start = time.perf_counter()
    await call(number)
    return (time.perf_counter() - start) * 1000


async def _ask_until(call: Call, stop_at: float) -> int:
    count = 0
    while time.perf_counter() < stop_at:
        await call(next(_numbers))
        count += 1
    return count


def _shown(row: Row) -> list[str]:
    values = [
        f"{row.p50_ms:.2f}",
        f"{row.p95_ms:.2f}",
        f"{row.added_p50_ms:.2f}",
        f"{row.added_p95_ms:.2f}",
        f"{row.turns_per_second:.0f}",
        f"{row.cpu_seconds_per_1000:.2f}",
        f"{row.core_busy:.0%}",
        f"{row.turns_a_busy_second:.0f}",
    ]
    # The gateway idles while Triton is asked directly: its CPU then is nobody's figure.
    values[5:] = [""] * 3 if row.way.endswith("alone") else values[5:]
    return [row.case, row.way, *("" if "nan" in value else value for value in values)]


HEADER = [
    "case",
    "way",
    "p50 ms",
    "p95 ms",
    "added p50",
    "added p95",
    "turns/s",
    "CPU s/1000",
    "busy",
    "a core",
]
SIDECAR = (
    "sidecar: a photo of {sent_bytes:.0f} bytes becomes one of {prepared_bytes:.0f}; a turn with a new picture takes "
    "{new_picture_turn_p50_ms:.1f} ms, with one that the sidecar remembers {known_picture_turn_p50_ms:.1f} ms: "
    "its work adds {sidecar_adds_p50_ms:.1f} ms (p50)"
)


def _verdicts(rows: Sequence[Row]) -> list[str]:
    lines = []
    for case in ("text", "picture 300 KB"):
        by_way = {row.way: row for row in rows if row.case == case}
        for way in ("whole", "streamed"):
            row, busy, name = by_way[way], by_way[f"saturated, {way}"], f"{case}, {way}"
            cpu = row.cpu_seconds_per_1000
            lines += [
                verdict(f"{name}: added, p50", round(row.added_p50_ms, 2), ADDED_MS, unit=" ms"),
                verdict(f"{name}: added, p95", round(row.added_p95_ms, 2), ADDED_MS, unit=" ms"),
                verdict(
                    f"{name}: turns/s a core",
                    round(busy.turns_a_busy_second),
                    TURNS_A_SECOND,
                    most=False,
                ),
                verdict(f"{name}: CPU s per 1,000", round(cpu, 2), CPU_A_THOUSAND, unit=" s"),
            ]
        share = (
            by_way["saturated, streamed"].turns_a_busy_second
            / by_way["saturated, whole"].turns_a_busy_second
        )
        lines.append(
            verdict(f"{case}: streamed / whole", round(share, 3), STREAMED_SHARE, most=False)
        )
    return lines


async def _bench(options: argparse.Namespace) -> int:
    here = machine()
    print(f"{here['cpu']}, {here['cores']} cores, load {here['load_before']} before", flush=True)
    with tempfile.TemporaryDirectory(prefix="kefu-bench-") as temporary:
        async with open_rig(Path(temporary)) as rig:
            bench = Bench(rig, options)
            await bench.run()
    print(table(HEADER, [_shown(row) for row in bench.rows]))
    print("\n" + SIDECAR.format(**bench.sidecar) + "\n")
    print("\n".join(_verdicts(bench.rows)))
    rows = [asdict(row) | {"turns_a_busy_second": row.turns_a_busy_second} for row in bench.rows]
    write_json(options.json, {"machine": here, "rows": rows, "sidecar": bench.sidecar})
    return 0


def main() -> int:
    options = parser("gateway", __doc__ or "")
    options.add_argument(
        "--rounds", type=int, default=150, help="questions a way for the latencies"
    )
    options.add_argument("--seconds", type=float, default=3.0, help="seconds a way for the turns/s")
    options.add_argument(
        "--more",
        action="store_true",
        help="also answers sent token by token, and questions in sessions (each in a new one)",
    )
    return run(_bench(options.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
