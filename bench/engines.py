"""What Triton and our backend cost an engine: tokens a second through them, against the same engine called directly.

Both arms have the same random checkpoint and prompts in one run, turn by turn; the figure is the median of the turns'
ratios. The checkpoint is large enough that a step of the engine is work (the step is printed): with a tiny one, the
arms would measure nothing but their own messages. Through Triton an answer always comes as a stream; `whole` is that
stream against an engine that gives its answer in one piece.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from bench.common import machine, parser, run, table, verdict, write_json
from bench.common_checkpoint import SIZES
from bench.common_engine import (
    Directly,
    Measured,
    model_directory,
    name_of,
    prompts,
    through,
)
from tests.fixtures.triton import running

_TARGET = 0.9
_LOADING_SECONDS = 400.0


async def bench(options: argparse.Namespace, folder: Path) -> int:
    settings: dict[str, Any] = {"dtype": options.dtype}
    if options.engine == "transformers":
        settings["cpu_threads"] = 1
    repository = model_directory(folder, options.engine, options.model, settings)
    name = name_of(options.model)
    found: list[dict[str, Any]] = []
    before = machine()
    with running(
        folder / "run", [name], repositories=(repository,), ready_seconds=_LOADING_SECONDS
    ) as host:
        async with (
            Directly.open(options.engine, repository / name, folder / "direct.log") as direct,
            through(host.grpc, name) as road,
        ):
            warm = prompts(host.models[name], 4, 1, options.prompt, 2)
            await road.run(warm, 8, 4)
            await direct.run(warm, 8, 4, whole=False)
            for concurrency in options.concurrency:
                for whole in (False, True):
                    turns: list[tuple[Measured, Measured]] = []
                    for turn in range(options.turns):
                        seed = 1000 * concurrency + 10 * turn + whole + 2
                        asked = prompts(
                            host.models[name],
                            max(3, 2 * concurrency),
                            seed,
                            options.prompt,
                            options.pictures,
                        )
                        ours = await road.run(asked, options.tokens, concurrency)
                        theirs = await direct.run(asked, options.tokens, concurrency, whole=whole)
                        turns.append((ours, theirs))
                    found.append(summary(concurrency, whole, turns))
                    print(f"  {concurrency} at once, {'whole' if whole else 'streamed'}: done")
    show(options, before, found)
    write_json(options.json, {"machine": before, "model": options.model, "found": found})
    return 0 if all(line["ratio"] >= _TARGET for line in found) else 1


def summary(
    concurrency: int, whole: bool, turns: list[tuple[Measured, Measured]]
) -> dict[str, Any]:
    return {
        "concurrency": concurrency,
        "whole": whole,
        "triton": statistics.median(ours.rate for ours, _ in turns),
        "direct": statistics.median(theirs.rate for _, theirs in turns),
        "ratio": statistics.median(ours.rate / theirs.rate for ours, theirs in turns),
        "first_triton": statistics.median(ours.first for ours, _ in turns),
        "first_direct": statistics.median(theirs.first for _, theirs in turns),
        "step": statistics.median(concurrency / theirs.rate for _, theirs in turns),
        "tokens": [(ours.tokens, theirs.tokens) for ours, theirs in turns],
    }


def show(options: argparse.Namespace, before: Any, found: list[dict[str, Any]]) -> None:
    print(
        f"\nengine {options.engine}, model {options.model}, {options.dtype}, prompts of {options.prompt} tokens,"
        f" answers of {options.tokens}, a picture in every {options.pictures}th; {options.turns} turns; {before}"
    )
    rows = [
        [
            f"{line['concurrency']} at once, {'whole' if line['whole'] else 'streamed'}",
            f"{line['triton']:.0f}",
            f"{line['direct']:.0f}",
            f"{line['ratio']:.2f}",
            f"{1000 * line['step']:.1f}",
            f"{1000 * line['first_triton']:.0f}",
            f"{1000 * line['first_direct']:.0f}",
        ]
        for line in found
    ]
    head = ["", "Triton tok/s", "direct tok/s", "ratio", "step ms", "first ms", "direct first ms"]
    print(table(head, rows))
    for line in found:
        form = "whole" if line["whole"] else "streamed"
        print(
            verdict(
                f"{line['concurrency']} at once, {form}",
                round(line["ratio"], 3),
                _TARGET,
                most=False,
            )
        )


def main() -> int:
    options = parser("engines", __doc__ or "")
    options.add_argument("--engine", choices=("vllm", "transformers"), default="vllm")
    options.add_argument("--model", choices=tuple(SIZES), default="steps_of_ms")
    options.add_argument("--dtype", default="float32")
    options.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 32])
    options.add_argument("--turns", type=int, default=3, help="of each arm")
    options.add_argument("--tokens", type=int, default=48, help="of an answer")
    options.add_argument("--prompt", type=int, default=96, help="tokens of a prompt's text")
    options.add_argument(
        "--pictures", type=int, default=4, help="every n-th prompt has one; 0: none"
    )
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="kefu-engines-") as folder:
        return run(bench(chosen, Path(folder)))


if __name__ == "__main__":
    raise SystemExit(main())
