"""The engine's models, loaded once; see `run.py` for how these checks are run."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

if "KEFU_TINY_MODELS" in os.environ:
    import torch
    from engines.base import Batch, Card, Chunk, EngineContext, Job, Sampling
    from engines.transformers.engine import TransformersEngine
    from tokenizers import Tokenizer

TINY = ("tiny_qwen2_5_vl", "tiny_qwen3_vl")
WEIGHTS = Path(os.environ.get("KEFU_WEIGHTS_DIR", ".kefu/weights"))


class Numbers:
    """A Meter that keeps what it is told."""

    def __init__(self) -> None:
        self.counted: dict[str, float] = {}
        self.gauges: dict[str, float] = {}

    def declare(self, counters: Any, gauges: Any) -> None:
        """Every name is taken."""

    def add(self, name: str, value: float = 1.0) -> None:
        self.counted[name] = self.counted.get(name, 0.0) + value

    def set(self, name: str, value: float) -> None:
        self.gauges[name] = value

    def declare_histogram(self, name: str, text: str, buckets: Any) -> None:
        """Every name is taken."""

    def observe(self, name: str, value: float) -> None:
        """Not looked at here."""


def card_of(name: str, **settings: Any) -> Card:
    folder = Path(os.environ["KEFU_TINY_MODELS"]) / name
    raw = json.loads((folder / "1/model.json").read_text(encoding="utf-8"))
    raw["engine_settings"] = {**raw["engine_settings"], "gather_ms": 20000, **settings}
    return Card.from_json(raw)


def picture(width: int, height: int, seed: int = 0) -> bytes:
    """Coloured tiles, encoded."""
    tiles = np.random.default_rng(seed).integers(0, 255, (height // 8 + 1, width // 8 + 1, 3))
    encoded = io.BytesIO()
    Image.fromarray(tiles.astype(np.uint8)).resize((width, height)).save(encoded, "PNG")
    return encoded.getvalue()


@dataclass
class Said:
    """What one job said."""

    chunks: list[Chunk] = field(default_factory=list)
    error: BaseException | None = None

    @property
    def ids(self) -> list[int]:
        return [i for chunk in self.chunks for i in chunk.token_ids]

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)

    @property
    def last(self) -> Chunk:
        return self.chunks[-1]


class Running:
    """A started engine, asked in threads as the backend does it."""

    def __init__(self, name: str, **settings: Any) -> None:
        card = card_of(name, **settings)
        self.card = card
        self.meter = Numbers()
        context = EngineContext(
            card=card, weights=WEIGHTS / name, model_dir=Path(), meter=self.meter
        )
        self.engine = TransformersEngine(context)
        self.engine.start()
        self.model = self.engine._scheduler._batch._model
        self.tokenizer = Tokenizer.from_file(str(WEIGHTS / name / "tokenizer.json"))

    def prompt(self, question: str, pictures: int = 0) -> tuple[int, ...]:
        shown = "<|vision_start|><|image_pad|><|vision_end|>" * pictures
        text = f"<|im_start|>user\n{shown}{question}<|im_end|>\n<|im_start|>assistant\n"
        return tuple(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def job(self, question: str, pictures: Sequence[bytes] = (), **sampling: Any) -> Job:
        values = {"temperature": 0.0, "max_tokens": 12, **sampling}
        return Job(
            input_ids=self.prompt(question, len(pictures)),
            images=tuple(pictures),
            sampling=Sampling(**values),
        )

    def ask(self, job: Job, cancelled: Callable[[], bool] = lambda: False) -> Said:
        said = Said()
        try:
            self.engine.generate(job, said.chunks.append, cancelled)
        except Exception as error:
            said.error = error
            job.ready()
        return said

    def empties(self, seconds: float = 30) -> bool:
        """Whether every row leaves: the step loop lets go of one after its caller has heard the end."""
        end = time.monotonic() + seconds
        while self.engine._scheduler._batch.rows:
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True

    def ask_all(self, jobs: Sequence[Job]) -> list[Said]:
        """All in one batch, as Triton hands them over."""
        batch = Batch(len(jobs))
        found = [Said() for _ in jobs]

        def one(number: int) -> None:
            job = jobs[number]
            found[number] = self.ask(
                Job(
                    input_ids=job.input_ids,
                    images=job.images,
                    sampling=job.sampling,
                    batch=batch,
                )
            )

        threads = [threading.Thread(target=one, args=(n,)) for n in range(len(jobs))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads), "somebody never got an answer"
        return found


@pytest.fixture(scope="session", params=TINY)
def tiny(request: pytest.FixtureRequest) -> Iterator[Running]:
    torch.set_num_threads(1)
    running = Running(request.param, cpu_threads=1)
    yield running
    running.engine.close()
