"""Right answers, invented ones, and the time to the first word, asked through the gateway.

    ./dev bench answers [--data FOLDER] [--limit N] [--variant clean] [--address HOST:PORT] [--json FILE]

Two parts. First every question of the folder on every variant of its picture (clean, halved, like a photo), by two
callers: how many answers are right, by language and variant, and which state a number, date or id that is not on the
page. Then, on a house of its own that has ONE core, the time to the first word of a first question on a picture, and of
a follow-up on it: in the same session without the picture, and as a new question with the picture sent again. "CPU s"
is what all processes of the house worked until the answer's end: on a core that others use too, it is the truer figure.

Without --data the project's own samples are asked. `bench/common_pages.py` says what a folder has. With --address a
running gateway is asked, and the second part is left out: nobody can know how many cores that one has.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.common import machine, parser, percentile, run, table, verdict, write_json
from bench.common_asker import Asker, Said, house_cpu
from bench.common_pages import VARIANTS, Asked, Folder
from tools.house import ROOT, House, Ports

CALLERS = 2
RIGHT_CLEAN, RIGHT_OTHER, OF = 17, 15, 20
FIRST_SECONDS, FOLLOW_UP_SECONDS = 8.0, 1.5
ONE_CORE = {"modelhost": "0", "preprocess": "0", "gateway": "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One answer of the first part."""

    variant: str
    language: str
    page: str
    question: str
    answer: str
    right: bool
    ungrounded: list[str]
    handover: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One answer of the second part. `kind`: first, follow-up in the session, follow-up sent again."""

    kind: str
    page: str
    question: str
    first_word_seconds: float
    cpu_seconds: float


@asynccontextmanager
async def _house(cores: dict[str, str] | None = None) -> AsyncIterator[House]:
    with tempfile.TemporaryDirectory(prefix="kefu-bench-") as folder:
        async with House.open(Path(folder) / "run", Ports.free(), cores=cores) as house:
            await house.ready(seconds=240)
            yield house


async def _answers(
    asker: Asker, folder: Folder, questions: Sequence[Asked], variants: Sequence[str]
) -> list[Result]:
    callers = asyncio.Semaphore(CALLERS)

    async def one(variant: str, asked: Asked) -> Result:
        async with callers:
            said = await asker.ask(asked.words, asked.pictures[variant])
        result = Result(
            variant=variant,
            language=asked.language,
            page=asked.page,
            question=asked.words,
            answer=said.text,
            right=asked.right(said.text),
            ungrounded=folder.ungrounded(asked, said.text),
            handover=said.handover,
            seconds=said.seconds,
        )
        _show(result)
        return result

    work = [
        one(variant, asked)
        for variant in variants
        for asked in questions
        if variant in asked.pictures
    ]
    return list(await asyncio.gather(*work))


def _show(result: Result) -> None:
    mark = "right" if result.right else "WRONG"
    extra = f"  NOT ON THE PAGE: {result.ungrounded}" if result.ungrounded else ""
    name = f"{result.variant:6}{result.page:8}"
    print(f"{mark}  {name} {result.question}  →  {result.answer!r}{extra}", flush=True)


async def _waits(questions: Sequence[Asked]) -> list[Wait]:
    by_page: dict[str, list[Asked]] = {}
    for asked in questions:
        by_page.setdefault(asked.page, []).append(asked)
    waits = []
    async with _house(ONE_CORE) as house, Asker.open(house.gateway) as asker:

        async def wait(kind: str, asked: Asked, *, picture: bool, session: str = "") -> None:
            before = house_cpu(house)
            path = asked.pictures["clean"] if picture else None
            said: Said = await asker.ask(asked.words, path, session=session)
            waits.append(
                Wait(
                    kind=kind,
                    page=asked.page,
                    question=asked.words,
                    first_word_seconds=said.first_word_seconds,
                    cpu_seconds=house_cpu(house) - before,
                )
            )
            print(
                f"{said.first_word_seconds:6.2f} s  {kind}: {asked.page}, {asked.words}", flush=True
            )

        for page, first_ones in by_page.items():
            first, *others = first_ones
            await wait("first", first, picture=True, session=f"bench-{page}")
            if others:
                await wait("follow-up", others[0], picture=False, session=f"bench-{page}")
            if others[1:]:
                await wait("sent again", others[1], picture=True)
    return waits


def _rights(results: Sequence[Result]) -> list[str]:
    right = Counter((r.variant, r.language) for r in results if r.right)
    asked = Counter((r.variant, r.language) for r in results)
    languages = sorted({r.language for r in results}, reverse=True)
    rows, lines = [], []
    for variant in dict.fromkeys(r.variant for r in results):
        counts = [(right[variant, one], asked[variant, one]) for one in languages]
        got, total = sum(r for r, _ in counts), sum(a for _, a in counts)
        rows.append([variant, *(f"{r}/{a}" for r, a in counts), f"{got}/{total}"])
        least = RIGHT_CLEAN if variant == "clean" else RIGHT_OTHER
        target = round(least / OF * total, 2)
        lines.append(verdict(f"right of {total}, {variant}", got, target, most=False))
    return [table(["variant", *languages, "all"], rows), "", *lines]


def _invented(folder: Folder, results: Sequence[Result]) -> list[str]:
    if folder.lines is None:
        return ["not measured: invented numbers (the folder has no lines.json)"]
    found = [f"  {r.page}: {r.answer!r} has {r.ungrounded}" for r in results if r.ungrounded]
    return [verdict("answers with a number that is not on the page", len(found), 0), *found]


def _waited(waits: Sequence[Wait]) -> list[str]:
    rows, lines = [], []
    for kind in dict.fromkeys(one.kind for one in waits):
        mine = [one for one in waits if one.kind == kind]
        seconds = [one.first_word_seconds for one in mine]
        cpu = [one.cpu_seconds for one in mine]
        shown = [percentile(seconds, 0.5), max(seconds), percentile(cpu, 0.5), max(cpu)]
        rows.append([kind, str(len(mine)), *(f"{value:.2f}" for value in shown)])
        target = FIRST_SECONDS if kind == "first" else FOLLOW_UP_SECONDS
        name = f"first word on one core, {kind}"
        lines.append(verdict(f"{name}, median", round(shown[0], 2), target, unit=" s"))
        lines.append(verdict(f"{name}, worst", round(shown[1], 2), target, unit=" s"))
    header = ["first word, one core", "asked", "median s", "worst s", "CPU s median", "CPU s worst"]
    return [table(header, rows), "", *lines]


async def _bench(options: argparse.Namespace) -> int:
    here = machine()
    print(f"{here['cpu']}, {here['cores']} cores, load {here['load_before']} before", flush=True)
    folder = Folder.read(options.data)
    questions = folder.questions[: options.limit]
    results: list[Result] = []
    waits: list[Wait] = []
    if options.part in ("answers", "all"):
        variants = options.variant or list(VARIANTS)
        if options.address:
            async with Asker.open(options.address) as asker:
                results = await _answers(asker, folder, questions, variants)
        else:
            async with _house() as house, Asker.open(house.gateway) as asker:
                results = await _answers(asker, folder, questions, variants)
    if options.part in ("waits", "all") and not options.address:
        waits = await _waits(questions)
    lines = [*_rights(results), *_invented(folder, results), ""] if results else []
    lines += _waited(waits) if waits else []
    print("\n" + "\n".join(lines))
    write_json(
        options.json,
        {
            "machine": here,
            "answers": [asdict(one) for one in results],
            "waits": [asdict(one) for one in waits],
        },
    )
    return 0


def main() -> int:
    options = parser("answers", __doc__ or "")
    options.add_argument("--data", type=Path, default=ROOT / "samples", help="folder of pages")
    options.add_argument("--limit", type=int, help="ask only the first so many questions")
    options.add_argument(
        "--variant", action="append", choices=list(VARIANTS), help="several times for several"
    )
    options.add_argument("--address", help="a gateway that runs already")
    options.add_argument("--part", choices=("all", "answers", "waits"), default="all")
    return run(_bench(options.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
