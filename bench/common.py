"""What the benchmarks share: percentiles, a table, CPU time of a process, and a line about the machine."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of them lie, interpolated; NaN for none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def cpu_seconds(pid: int) -> float:
    """CPU seconds (user and system) that a process with all its threads has used, children not counted."""
    # The name, in parentheses, may hold blanks: count the fields behind it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def thread_seconds(pid: int) -> float:
    """The same to the nanosecond, for a process whose threads do not end meanwhile (theirs would be lost)."""
    total = 0
    for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        total += int(file.read_text().split()[0])
    return total / 1e9


def machine() -> dict[str, Any]:
    """What ran the benchmark, and how busy it was before: figures of a busy machine are worth little."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "unknown",
    )
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 2),
    }


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text; the first is aligned to the left, the others to the right."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]

    def shown(line: Sequence[str]) -> str:
        first, *others = line
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        return "  ".join(cells).rstrip()

    return "\n".join([shown(header), "  ".join("-" * width for width in widths), *map(shown, rows)])


def verdict(name: str, value: float, target: float, *, most: bool = True, unit: str = "") -> str:
    """One line: a figure against its target, which is the most or (`most` False) the least that it may be."""
    met = value <= target if most else value >= target
    sign = "≤" if most else "≥"
    return (
        f"{'met   ' if met else 'MISSED'}  {name}: {value:g}{unit} (target {sign} {target:g}{unit})"
    )


def write_json(path: Path | None, document: object) -> None:
    """Writes the results, where a file was asked for."""
    if path is not None:
        path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def run(bench: Coroutine[Any, Any, int]) -> int:
    """Runs a benchmark. SIGTERM ends it as Ctrl-C does: with everything that it started stopped."""

    async def stoppable() -> int:
        task = asyncio.ensure_future(bench)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            return 143

    return asyncio.run(stoppable())


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    made = argparse.ArgumentParser(
        prog=f"./dev bench {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--json", type=Path, metavar="FILE", help="write the results here as well")
    return made
