"""What an engine of the `vlm` backend is, and the values that pass between the backend and an engine.

    engine = create_engine(card, weights_dir)
    engine.start()
    engine.generate(job, emit=lambda chunk: print(chunk.text, end=""), cancelled=lambda: False)
    engine.close()

`model.py` speaks Triton: it turns tensors into a `Job`, and each `Chunk` into a response.  An engine knows nothing
of Triton.  A new engine is one module beside `reader` and one line in `registry.py`; what it imports it may have in an
environment of its own (`environment.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


class ContractError(Exception):
    """A request that the contract forbids; the only error whose words reach the caller.

    `reason` is stable and machine-readable: the gateway maps `KEFU[reason]: message` to its own error.

    | reason | when |
    | --- | --- |
    | bad_tensor | a tensor is missing, has a wrong length, or holds an id outside the vocabulary |
    | bad_sampling | `sampling` is no JSON object, or one of its values is out of range |
    | bad_schema | `json_schema` cannot be followed |
    | placeholder_mismatch | the prompt's placeholders are not as many as the pictures |
    | too_many_pictures | more pictures than the model's card allows |
    | picture_undecodable | a picture is not JPEG, PNG, WebP or BMP, is truncated, or has too many pixels |
    | prompt_too_long | the prompt with its pictures does not leave room for an answer in the context |
    | out_of_memory | the device's memory does not hold this request, even alone |
    | engine_failed | the engine broke; nothing is told of how (the server's log says it) |
    | shutting_down | the model is being unloaded |
    | unknown_request | a message to cancel names no request that is in work here (`callers.py`) |
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"KEFU[{reason}]: {message}")
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to write the answer; the JSON of the tensor `sampling`.

    max_tokens:  most new tokens, 1 or more
    temperature: 0 is greedy; up to 2
    top_p:       0 < p <= 1
    top_k:       draw among so many of the most probable tokens; 0 for all
    min_p:       and among those at least so probable as the best one times this, 0 to 1; 0 for all
    repetition_penalty: above 1 makes tokens of the prompt and of the answer less probable; 1 for none (the formula
                 is in `transformers/penalties.py`)
    presence_penalty: is subtracted from the scores of tokens that the answer has, -2 to 2; 0 for none
    seed:        same seed, same prompt, same answer; None draws one
    stop:        strings that end the answer and are not part of it
    json_schema: JSON Schema that the answer obeys; None for free text
    logprobs:    False lets the engine leave the log-probabilities out (the tensor is then empty)
    stream:      False where the caller wants the whole answer alone: its tokens then come in few, large chunks
    debug:       True asks for artefacts of the engine's work in `details`, under `debug`
    cache_scope: what is remembered of a request (pictures read, prompts worked through) serves requests of its scope
                 alone: the time of an answer must not tell one tenant what another one asked
    """

    max_tokens: int = 256
    temperature: float = 0.25
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] | None = None
    logprobs: bool = True
    stream: bool = True
    debug: bool = False
    cache_scope: str = ""


class Batch:
    """The jobs that Triton handed over together.

    Each calls `Job.ready` when it could start, its pictures prepared; an engine that works in steps lets them wait for
    each other, so that they start in one step.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._ready: set[int] = set()
        self._lock = threading.Lock()

    def ready(self, job: Job) -> None:
        with self._lock:
            self._ready.add(id(job))

    @property
    def complete(self) -> bool:
        return len(self._ready) >= self._size


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One request: the prompt's token ids (one placeholder a picture), encoded pictures in order, sampling."""

    input_ids: tuple[int, ...]
    images: tuple[bytes, ...]
    sampling: Sampling
    batch: Batch = field(default_factory=lambda: Batch(1), compare=False)

    def ready(self) -> None:
        """This job can start, or never will; more than once is once."""
        self.batch.ready(self)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens: of the prompt's text, of its pictures, of the answer."""

    text: int
    visual: int
    completion: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of the answer.

    token_ids: new tokens
    text:      their text; whole characters only, so it can lag behind token_ids by a token or two
    logprobs:  one a token, natural logarithm; empty when not asked for

    The last chunk has a finish_reason (stop, length, cancelled), usage and, if the engine has any, details.
    """

    token_ids: tuple[int, ...] = ()
    text: str = ""
    logprobs: tuple[float, ...] = ()
    finish_reason: str = ""
    details: Mapping[str, Any] | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """A model's card (`1/model.json`), as far as every engine needs it; `raw` has the rest."""

    name: str
    engine: str
    context_tokens: int
    max_pictures: int
    placeholder_id: int
    settings: Mapping[str, Any]
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Card:
        picture = raw.get("picture") or {}
        return cls(
            name=raw["name"],
            engine=raw["engine"],
            context_tokens=int(raw["context_tokens"]),
            max_pictures=int(raw.get("max_pictures", 0)),
            placeholder_id=int(picture.get("placeholder_id", -1)),
            settings=raw.get("engine_settings") or {},
            raw=raw,
        )


class Meter(Protocol):
    """Where an engine reports what it does; `metrics.py` has the names that every engine may use."""

    def declare(self, counters: Mapping[str, str], gauges: Mapping[str, str]) -> None:
        """Names of an engine's own, with what they count; before their first use."""

    def add(self, name: str, value: float = 1.0) -> None: ...

    def set(self, name: str, value: float) -> None: ...

    def declare_histogram(self, name: str, text: str, buckets: Sequence[float]) -> None:
        """The same for a distribution; `buckets` are upper bounds, rising."""

    def observe(self, name: str, value: float) -> None: ...


class Engine(Protocol):
    """Answers jobs.  `generate` is called from several threads at once and does its own queueing."""

    def start(self) -> None:
        """Loads the weights; slow.  Raises an exception whose text an operator can act on."""

    def generate(
        self, job: Job, emit: Callable[[Chunk], None], cancelled: Callable[[], bool]
    ) -> None:
        """Writes the answer as chunks; exactly the last one has a finish_reason.

        `emit` is called from the thread that called generate.  `cancelled` is cheap and is asked at every token and
        at least every 100 ms while the job waits for a place; once it says True the work stops, its place is
        free, and the last chunk says `cancelled`.  Raises ContractError for a job that cannot be answered.
        """

    def close(self) -> None:
        """Stops running jobs and frees everything; called once."""


@dataclass(frozen=True, slots=True)
class EngineContext:
    """What an engine is built from: its card, the model's weights folder, a meter; and the number of the GPU that
    Triton gave this instance, None where it gave none (`instance_group` of config.pbtxt)."""

    card: Card
    weights: Path
    model_dir: Path
    meter: Meter
    device_id: int | None = None
