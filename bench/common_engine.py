"""What the benchmarks of engines share: a checkpoint and its model directory, prompts, what a run found.

repository = model_directory(folder, "vllm", "steps_of_ms", {})
with running(folder / "run", [name], repositories=(repository,)) as host: ...
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from kefu_gateway.adapters.prompts import ModelPrompts
from kefu_gateway.domain.ports import Message
from tests.checkpoints.models import ENGINES, ROOT, WEIGHTS
from tests.fixtures.pictures import page

_REAL = ROOT / "deploy/triton_models/qwen2_5_vl_7b"
_RECIPE = (
    *("bench/common_checkpoint.py", "tests/checkpoints/build.py"),
    *("tests/checkpoints/architectures.py", "tests/checkpoints/tokens.py"),
)


class Prompt(NamedTuple):
    """Token ids and encoded pictures; and the customer's text, where the ids are what the gateway makes of it."""

    ids: list[int]
    pictures: list[bytes]
    text: str = ""


def name_of(size: str) -> str:
    return f"bench_{size}"


def model_directory(folder: Path, engine: str, size: str, settings: Mapping[str, Any]) -> Path:
    """A repository with one model, its checkpoint built beside the other weights if it is not there as it should be."""
    name = name_of(size)
    weights = WEIGHTS / name
    stamp = weights / "made-by"
    recipe = hashlib.sha256(b"".join((ROOT / path).read_bytes() for path in _RECIPE)).hexdigest()
    if not stamp.is_file() or stamp.read_text() != recipe:
        shutil.rmtree(weights, ignore_errors=True)
        python = ENGINES / engine / "bin/python"
        subprocess.run(
            [str(python), "-m", "bench.common_checkpoint", str(weights), size],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        stamp.write_text(recipe)
    card = json.loads((_REAL / "1/model.json").read_text(encoding="utf-8"))
    place = Tokenizer.from_file(str(weights / "tokenizer.json")).token_to_id(
        card["picture"]["placeholder"]
    )
    card |= {
        "name": name,
        "engine": engine,
        "weights": {"revision": "bench", "files": []},
        "context_tokens": 4096,
        "picture": {**card["picture"], "placeholder_id": place},
        "memory": {},
        "engine_settings": {"threads": 64, **settings},
    }
    target = folder / "models" / name
    (target / "1").mkdir(parents=True, exist_ok=True)
    (target / "1/model.json").write_text(json.dumps(card, ensure_ascii=False))
    shutil.copyfile(_REAL / "1" / card["chat_template"], target / "1" / card["chat_template"])
    config = (_REAL / "config.pbtxt").read_text().replace(f'"{_REAL.name}"', f'"{name}"')
    # Where the instance stands is for Triton's own backends; an engine takes the device that its settings name.
    (target / "config.pbtxt").write_text(re.sub(r"KIND_(GPU|MODEL)", "KIND_CPU", config))
    return folder / "models"


def prompts(place: int, count: int, seed: int, tokens: int, pictures: int) -> list[Prompt]:
    """Questions that share no beginning; every `pictures`-th has a picture that nobody saw before (0: none has).
    `place`: the id of a picture's placeholder."""
    draw = random.Random(seed)
    made: list[Prompt] = []
    for number in range(count):
        ids = [draw.randrange(33, 120) for _ in range(tokens)]
        shown: list[bytes] = []
        if pictures and number % pictures == 0:
            shown = [page(f"No. {seed}-{number}", f"Total|{draw.random():.6f}", size=(448, 336))]
            ids.insert(1, place)
        made.append(Prompt(ids, shown))
    return made


def questions(
    encoder: ModelPrompts, system: str, count: int, seed: int, letters: int
) -> list[Prompt]:
    """What customers write, with the ids that the gateway makes of it; no two are equal, and none was asked before."""
    draw = random.Random(seed)
    first = Message("system", [{"type": "text", "text": system}])
    made: list[Prompt] = []
    for number in range(count):
        text = f"{seed}-{number} " + "".join(draw.choices("abcdefghijklmnop ", k=letters))
        content = [{"type": "text", "text": text}]
        made.append(
            Prompt(encoder.encode([first, Message("user", content)], language="zh"), [], text)
        )
    return made


@dataclass(frozen=True, slots=True)
class Measured:
    """One run over all prompts: tokens a second, the median time to a first token, messages in which they came, CPU
    seconds of every process, by what it does, and the share of the machine that strangers had meanwhile, 0 to 1."""

    rate: float
    first: float
    tokens: int
    messages: int = 0
    cpu: Mapping[str, float] | None = None
    strangers: float = 0.0

    @classmethod
    def of(cls, seconds: float, tokens: int, first: Sequence[float], messages: int = 0) -> Measured:
        return cls(tokens / seconds, statistics.median(first), tokens, messages)
