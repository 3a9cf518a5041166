"""A vision-language model on a GPU, through Triton: tokens a second, first tokens, how busy the GPU is.

Builds a random Qwen2.5-VL of the published 3B model's sizes, hosts it with each engine, with batching and without (one
request in a step), at several concurrencies, and runs the contract suite on this machine's device. Without a GPU
nothing is measured: it says so and ends with exit code 3. `--tiny --device cpu` runs the same steps on a CPU in a size
that proves the steps and no figure.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.common import machine, parser, run, table, write_json
from bench.common_engine import model_directory, name_of, prompts
from bench.common_engine_arms import through
from tests.checkpoints.models import ENGINES, ROOT
from tests.fixtures.triton import running

NOT_MEASURED = 3
_LOADING_SECONDS = 900.0
_ONE_AT_A_TIME = {"vllm": {"max_num_seqs": 1}, "transformers": {"max_rows": 1}}
_TOGETHER = {"vllm": {"max_num_seqs": 32}, "transformers": {"max_rows": 32}}


def gpus() -> list[str]:
    """Names of this machine's NVIDIA GPUs."""
    if shutil.which("nvidia-smi") is None:
        return []
    done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


class Busy:
    """Samples of `nvidia-smi` while a measurement runs: share of the time that a kernel ran, MiB in use."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, float]] = []

    def read(self, line: str) -> None:
        numbers = re.findall(r"[\d.]+", line)
        if len(numbers) >= 2:
            self.samples.append((float(numbers[0]), float(numbers[1])))

    @property
    def utilisation(self) -> float:
        return statistics.fmean(u for u, _ in self.samples) if self.samples else float("nan")

    @property
    def memory(self) -> float:
        return max((m for _, m in self.samples), default=float("nan"))


@asynccontextmanager
async def watched(on_gpu: bool) -> AsyncIterator[Busy]:
    """Samples five times a second; none on a machine without a GPU."""
    busy = Busy()
    if not on_gpu:
        yield busy
        return
    process = await asyncio.create_subprocess_exec(
        *("nvidia-smi", "--query-gpu=utilization.gpu,memory.used"),
        *("--format=csv,noheader,nounits", "--loop-ms=200"),
        stdout=asyncio.subprocess.PIPE,
    )

    async def read() -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            busy.read(line.decode())

    reading = asyncio.ensure_future(read())
    try:
        yield busy
    finally:
        process.terminate()
        await process.wait()
        await reading


async def bench(options: argparse.Namespace, folder: Path, names: list[str]) -> int:
    on_gpu = options.device == "cuda"
    size = "tiny" if options.tiny else "few_billion"
    found = []
    for engine in options.engine:
        if not (ENGINES / engine / "bin/python").exists():
            print(
                f"engine {engine}: NOT measured, {ENGINES / engine} is not there (./dev setup --all)"
            )
            continue
        for batching in (True, False):
            settings: dict[str, Any] = {
                "dtype": "bfloat16" if on_gpu else "float32",
                **(_TOGETHER if batching else _ONE_AT_A_TIME)[engine],
            }
            if engine == "transformers":
                settings["device"] = options.device
            place = folder / f"{engine}-{batching}"
            repository = model_directory(place, engine, size, settings)
            with running(
                place / "run",
                [name_of(size)],
                repositories=(repository,),
                ready_seconds=_LOADING_SECONDS,
                KEFU_TRITON_START_TIMEOUT=str(_LOADING_SECONDS),
            ) as host:
                found += await measure(options, host, engine, batching, name_of(size), on_gpu)
    show(options, names, found)
    suite = contract(options) if options.contract else None
    write_json(options.json, {"machine": machine(), "gpus": names, "found": found, "suite": suite})
    return 1 if suite else 0


async def measure(
    options: argparse.Namespace, host: Any, engine: str, batching: bool, name: str, on_gpu: bool
) -> list[dict[str, Any]]:
    lines = []
    async with through(host.grpc, name) as road:
        place = host.models[name].card["picture"]["placeholder_id"]
        await road.run(prompts(place, 4, 1, options.prompt, 2), 8, 4)
        for concurrency in options.concurrency:
            count = max(4, 2 * concurrency)
            asked = prompts(place, count, 100 + concurrency, options.prompt, options.pictures)
            async with watched(on_gpu) as busy:
                measured = await road.run(asked, options.tokens, concurrency)
            lines.append(
                {
                    "engine": engine,
                    "batching": batching,
                    "concurrency": concurrency,
                    "rate": measured.rate,
                    "first": measured.first,
                    "utilisation": busy.utilisation,
                    "memory": busy.memory,
                }
            )
            print(
                f"  {engine}, batching {'on' if batching else 'off'}, {concurrency} at once:"
                f" {measured.rate:.0f} tok/s",
                flush=True,
            )
    return lines


def show(options: argparse.Namespace, names: list[str], found: list[dict[str, Any]]) -> None:
    where = ", ".join(names) if options.device == "cuda" else "a CPU: these are NO figures of a GPU"
    print(
        f"\non {where}; prompts of {options.prompt} tokens, answers of {options.tokens},"
        f" a picture in every {options.pictures}th; {machine()}"
    )
    rows = [
        [
            f"{line['engine']}, batching {'on' if line['batching'] else 'off'}, {line['concurrency']} at once",
            f"{line['rate']:.0f}",
            f"{1000 * line['first']:.0f}",
            "-" if line["utilisation"] != line["utilisation"] else f"{line['utilisation']:.0f} %",
            "-" if line["memory"] != line["memory"] else f"{line['memory'] / 1024:.1f}",
        ]
        for line in found
    ]
    print(table(["", "tokens/s", "first ms", "GPU busy", "GiB"], rows))


def contract(options: argparse.Namespace) -> int:
    """The contract suite of the engines asked for; pytest's exit code."""
    print("\nthe contract suite on this device:")
    chosen = " or ".join(options.engine)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-m", "vllm or not vllm"),
            *("tests/contract/engines/test_every_engine.py", "-k", chosen),
        ],
        cwd=ROOT,
        check=False,
    )
    return done.returncode


def main() -> int:
    options = parser("gpu", __doc__ or "")
    options.add_argument(
        "--engine", choices=("vllm", "transformers"), nargs="+", default=["vllm", "transformers"]
    )
    options.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    options.add_argument("--tiny", action="store_true", help="a checkpoint of a megabyte")
    options.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 32])
    options.add_argument("--tokens", type=int, default=128, help="of an answer")
    options.add_argument("--prompt", type=int, default=256, help="tokens of a prompt's text")
    options.add_argument(
        "--pictures", type=int, default=2, help="every n-th prompt has one; 0: none"
    )
    options.add_argument("--contract", action=argparse.BooleanOptionalAction, default=True)
    chosen = options.parse_args()
    names = gpus()
    if chosen.device == "cuda" and not names:
        print(
            "NOT measured: this machine has no NVIDIA GPU (nvidia-smi lists none). Nothing was run and there is no"
            " figure. `--tiny --device cpu` runs the steps on a CPU."
        )
        return NOT_MEASURED
    with tempfile.TemporaryDirectory(prefix="kefu-gpu-") as folder:
        return run(bench(chosen, Path(folder), names))


if __name__ == "__main__":
    raise SystemExit(main())
