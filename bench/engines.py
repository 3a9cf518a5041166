"""What Triton and our backend cost an engine: tokens a second through them, against the same engine called directly.

All arms have the same random checkpoint, settings, prompts and concurrency, and give the same number of tokens. They
take turns, the order turning round each time; the figure is the median of the rounds' ratios, with the least and the
greatest beside it. `streamed`: the caller wants tokens as they come; `whole`: only the answer, which an engine called
directly gives in one piece.

`steps_of_ms` is a model whose step takes one thread of a CPU as long as a step of a real one takes a GPU, and leaves
the other cores free, as a GPU does. `tiny` is the hard case: its step costs as little as a message, and it is shown,
not judged. Where others use the machine there is no figure, and the exit code is 3; the CPU time a token of each
process is nearly as good then.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import grpc

from bench.common import machine, parser, run, table, verdict, write_json
from bench.common_calls import OPTIONS
from bench.common_checkpoint import SIZES
from bench.common_engine import (
    Measured,
    Prompt,
    model_directory,
    name_of,
    prompts,
    questions,
)
from bench.common_engine_arms import Cpu, Directly, Gateway, through, together
from kefu_gateway.adapters.prompts import ModelPrompts, load_cards
from tests.checkpoints.models import WEIGHTS
from tools.house import House, Ports

_TARGET = 0.9
# The exit code where others used the machine, as in `bench gpu` where there is no GPU.
NOT_MEASURED = 3
_LOADING_SECONDS = 600.0
# Fewer calm rounds than this say no more than all of them.
_CALM_ENOUGH = 3
# A model whose steps are short gives more answers in a round: below a second a round measures the machine's other work.
_ANSWERS = {"tiny": 6}
Arm = Callable[[Sequence[Prompt]], Awaitable[Measured]]


class Bench:
    """One model and engine, with all that asks it."""

    def __init__(self, options: argparse.Namespace, size: str, folder: Path) -> None:
        self._options = options
        self._size = size
        self._folder = folder
        self._found: list[dict[str, Any]] = []

    async def all(self) -> list[dict[str, Any]]:
        options, name = self._options, name_of(self._size)
        # One compute thread in every arm: whoever passes tokens on has a core, as beside a GPU.
        environment = {"OMP_NUM_THREADS": str(options.threads)}
        settings: dict[str, Any] = {"dtype": options.dtype}
        if options.engine == "transformers":
            settings["cpu_threads"] = options.threads
        repository = model_directory(self._folder, options.engine, self._size, settings)
        began = time.monotonic()
        async with (
            House.open(
                self._folder / "run",
                Ports.free(),
                models=(name,),
                repository=repository,
                weights=WEIGHTS,
                environment={
                    **environment,
                    "KEFU_TRITON_START_TIMEOUT": str(_LOADING_SECONDS),
                    # Probes of the supervisor would be requests among ours.
                    "KEFU_TRITON_PROBE_SECONDS": "600",
                },
            ) as house,
            Directly.open(
                options.engine, repository / name, self._folder / "direct.log", environment
            ) as direct,
            through(house.triton, name) as triton,
            grpc.aio.insecure_channel(house.gateway, options=OPTIONS) as channel,
        ):
            await house.ready(seconds=_LOADING_SECONDS)
            say(f"{self._size}: loaded in {time.monotonic() - began:.0f} s")
            self._direct, self._triton = direct, triton
            self._gateway = Gateway(channel, name)
            card = load_cards(repository, (name,))[name]
            self._place = card.placeholder_id
            self._system = card.system_prompt.get("zh") or card.system_prompt.get("en", "")
            self._encoder = ModelPrompts.load(
                card, templates=repository / name / "1", weights=WEIGHTS / name
            )
            self._cpu = Cpu(
                {
                    "client": os.getpid(),
                    "modelhost": house.keeper.kept["modelhost"].pid,
                    "gateway": house.keeper.kept["gateway"].pid,
                    "direct": direct.pid,
                }
            )
            await self._measure()
        return self._found

    async def _measure(self) -> None:
        options = self._options
        await self._warm()
        for concurrency in options.concurrency:
            for whole in (False, True):
                await self._rounds(concurrency, whole, "triton")
                if options.gateway and self._size not in _ANSWERS:
                    await self._rounds(concurrency, whole, "gateway")

    async def _warm(self) -> None:
        for seed in (1, 2):
            asked = prompts(self._place, 8, seed, self._options.prompt, 2)
            for arm in (self._ours("triton", 8, False), self._theirs(8, False)):
                await arm(asked, 8)
        await self._gateway.run(questions(self._encoder, self._system, 2, 3, 8), 8, 2, whole=False)

    def _ours(self, road: str, concurrency: int, whole: bool) -> Any:
        if road == "gateway":
            return lambda asked, tokens: self._gateway.run(asked, tokens, concurrency, whole=whole)
        if road == "backend":
            return lambda asked, tokens: self._direct.run(
                asked, tokens, concurrency, whole=whole, arm="backend"
            )
        return lambda asked, tokens: self._triton.run(asked, tokens, concurrency, whole=whole)

    def _theirs(self, concurrency: int, whole: bool) -> Any:
        return lambda asked, tokens: self._direct.run(asked, tokens, concurrency, whole=whole)

    async def _rounds(self, concurrency: int, whole: bool, road: str) -> None:
        options = self._options
        arms = [self._ours(road, concurrency, whole), self._theirs(concurrency, whole)]
        name = f"{concurrency} at once, {'whole' if whole else 'streamed'}, {road}"
        pairs: list[tuple[Measured, Measured]] = []
        disturbed: list[tuple[Measured, Measured]] = []
        # A round in which others used the machine is asked again, but not for ever, and not where none is calm.
        for number in range(3 * options.rounds):
            if len(pairs) == options.rounds or (not pairs and number == options.rounds):
                break
            seed = 1000 * concurrency + 10 * number + whole + 2
            count = 2 * concurrency * _ANSWERS.get(self._size, 1)
            asked = (
                questions(self._encoder, self._system, count, seed, options.prompt)
                if road == "gateway"
                else prompts(self._place, count, seed, options.prompt, options.pictures)
            )
            turn = 1 if number % 2 == 0 else -1
            measured = [await self._cpu.over(arm(asked, options.tokens)) for arm in arms[::turn]]
            ours, theirs = measured[::turn]
            strangers = max(ours.strangers, theirs.strangers)
            calm = strangers <= options.strangers
            (pairs if calm else disturbed).append((ours, theirs))
            say(
                f"  {self._size}, {name}: {ours.rate:.0f} tok/s, direct {theirs.rate:.0f},"
                f" ratio {ours.rate / theirs.rate:.3f}"
                + ("" if calm else f", not counted: others had {strangers:.0%} of the machine")
            )
        line = {
            "model": self._size,
            "road": road,
            "calm": len(pairs),
            "disturbed": len(disturbed),
            **summary(
                concurrency, whole, pairs if len(pairs) >= _CALM_ENOUGH else pairs + disturbed
            ),
        }
        self._found.append(line)
        say("  " + shown(line))
        costs = ", ".join(f"{role} {cost:.2f}" for role, cost in sorted(line["cpu"].items()))
        say(f"    ms of CPU a token: {costs}")


def summary(
    concurrency: int, whole: bool, pairs: Sequence[tuple[Measured, Measured]]
) -> dict[str, Any]:
    """The figures of one cell; rates in tokens a second, times in seconds, `cpu` in milliseconds a token by who used
    them: "ours, …" while our arm was at work, "direct, …" while the other one was."""
    ratios = [ours.rate / theirs.rate for ours, theirs in pairs]
    return {
        "concurrency": concurrency,
        "whole": whole,
        "ours": statistics.median(ours.rate for ours, _ in pairs),
        "direct": statistics.median(theirs.rate for _, theirs in pairs),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "first_ours": statistics.median(ours.first for ours, _ in pairs),
        "first_direct": statistics.median(theirs.first for _, theirs in pairs),
        "step": statistics.median(concurrency / theirs.rate for _, theirs in pairs),
        "tokens": pairs[0][0].tokens,
        "tokens_a_message": sum(ours.tokens for ours, _ in pairs)
        / max(1, sum(ours.messages for ours, _ in pairs)),
        # What an arm's processes use while the other one works is the machine's noise.
        "cpu": {
            **_roles("ours", (ours for ours, _ in pairs), other="direct: "),
            **_roles("direct", (theirs for _, theirs in pairs), other=("modelhost: ", "gateway: ")),
        },
    }


def _roles(arm: str, runs: Iterable[Measured], *, other: str | tuple[str, ...]) -> dict[str, float]:
    return {
        f"{arm}, {role}": cost
        for role, cost in together(runs).items()
        if cost >= 0.005 and not role.startswith(other)
    }


def name_of_cell(line: dict[str, Any]) -> str:
    form = "whole" if line["whole"] else "streamed"
    return f"{line['model']}, {line['concurrency']} at once, {form}, {line['road']}"


def shown(line: dict[str, Any]) -> str:
    """A cell against the target, in one line; no verdict where the machine was not ours."""
    spread = f"[{min(line['ratios']):.2f} to {max(line['ratios']):.2f}]"
    name, ratio = name_of_cell(line), round(line["ratio"], 3)
    if line["calm"] < _CALM_ENOUGH:
        return f"NO FIGURE  {name}: others used the machine; {ratio:g} {spread} says nothing"
    return f"{verdict(name, ratio, _TARGET, most=False)} {spread}"


def show(options: argparse.Namespace, before: Any, found: list[dict[str, Any]]) -> None:
    say(
        f"\nengine {options.engine}, {options.dtype}, compute threads {options.threads} in each arm; nothing is pinned:"
        f" client, gateway, Triton, backend and engine share {before['cores']} cores, one arm at work at a time."
        f"\nprompts of {options.prompt} tokens, answers of {options.tokens}, a picture in every {options.pictures}th"
        f" (none through the gateway); {options.rounds} rounds; {before}"
    )
    rows = [
        [
            name_of_cell(line),
            f"{line['ours']:.0f}",
            f"{line['direct']:.0f}",
            f"{line['ratio']:.3f}",
            f"{min(line['ratios']):.2f}-{max(line['ratios']):.2f}",
            f"{1000 * line['step']:.1f}",
            f"{1000 * line['first_ours']:.0f}",
            f"{1000 * line['first_direct']:.0f}",
            f"{line['tokens_a_message']:.1f}",
        ]
        for line in found
    ]
    head = ["", "ours tok/s", "direct tok/s", "ratio", "least-most", "step ms"]
    head += ["first ms", "direct first ms", "tokens a message"]
    say(table(head, rows))
    for line in found:
        say(shown(line))


def say(text: str) -> None:
    print(text, flush=True)


async def bench(options: argparse.Namespace, folder: Path) -> int:
    before = machine()
    say(
        f"{options.engine}: {before}\n`ratio` is ours to direct; a line `met` or `MISSED` has the median of its rounds"
    )
    began = time.monotonic()
    found: list[dict[str, Any]] = []
    for size in options.model:
        found += await Bench(options, size, folder / size).all()
    show(options, before, found)
    say(f"in {time.monotonic() - began:.0f} s")
    write_json(options.json, {"machine": before, "found": found})
    judged = [line for line in found if line["model"] not in _ANSWERS] or found
    if any(line["calm"] < _CALM_ENOUGH for line in judged):
        return NOT_MEASURED
    return 0 if all(line["ratio"] >= _TARGET for line in judged) else 1


def main() -> int:
    options = parser("engines", __doc__ or "")
    options.add_argument("--engine", choices=("vllm", "transformers"), default="vllm")
    options.add_argument(
        "--model", choices=tuple(SIZES), nargs="+", default=["steps_of_ms", "tiny"]
    )
    options.add_argument("--dtype", default="float32")
    options.add_argument("--threads", type=int, default=1, help="compute threads of the engine")
    options.add_argument("--concurrency", type=int, nargs="+", default=[1, 8])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument(
        "--strangers",
        type=float,
        default=0.1,
        help="share of the machine that others may have in a round that counts",
    )
    options.add_argument("--tokens", type=int, default=48, help="of an answer")
    options.add_argument("--prompt", type=int, default=64, help="tokens of a prompt's text")
    options.add_argument(
        "--pictures", type=int, default=4, help="every n-th prompt has one; 0: none"
    )
    options.add_argument("--gateway", action=argparse.BooleanOptionalAction, default=True)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="kefu-engines-") as folder:
        return run(bench(chosen, Path(folder)))


if __name__ == "__main__":
    raise SystemExit(main())
