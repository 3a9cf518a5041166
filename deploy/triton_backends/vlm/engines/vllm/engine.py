"""The engine `vllm`: continuous batching on one GPU or several, or on a CPU.

check     ids within the vocabulary, a schema that makes sense
enter     jobs that came together enter together; pictures under their hash, so that a known one costs nothing
write     vLLM's tokens, as whole characters and without stop strings
leave     cancelled or answered: the place in the engine is free within one of its steps

What `engine_settings` may hold is in `settings.py`.  An engine whose core died fails what runs and ends this process,
which the model host sees within a quarter of a second and mends as it mends every dead stub.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from engines.base import Chunk, ContractError, EngineContext, Job
from engines.token_bytes import TokenBytes
from engines.vllm.answer import Answer, Delta
from engines.vllm.driver import Driver, Failed, Ticket
from engines.vllm.params import sampling_params
from engines.vllm.pictures import Picture
from engines.vllm.prompt import end_ids
from engines.vllm.stats import Stats

# How often a job that gets no tokens asks whether its caller left.
_POLL_SECONDS = 0.02
# Running jobs of a dead engine are told first: their streams would never end.
_LAST_WORDS_SECONDS = 2.0


class VllmEngine:
    """See `engines.base.Engine`."""

    def __init__(
        self, context: EngineContext, leave: Callable[[], None] = lambda: os._exit(70)
    ) -> None:
        self._card = context.card
        self._weights = context.weights
        self._tokenizer = context.weights / context.card.raw.get("tokenizer", "tokenizer.json")
        self._leave = leave
        self._stats = Stats(context.meter)
        self._driver = Driver(context.card, context.weights, self._stats, self._died)
        self._vocabulary: TokenBytes
        self._ends: tuple[int, ...] = ()
        self._active = 0
        self._changed = threading.Condition()

    def start(self) -> None:
        for path in (self._weights / "config.json", self._tokenizer):
            if not path.is_file():
                raise FileNotFoundError(_missing(path, self._card.name))
        self._vocabulary = TokenBytes(self._tokenizer)
        self._ends = end_ids(self._card, self._tokenizer)
        self._driver.start()

    def close(self) -> None:
        self._driver.close()

    def generate(
        self, job: Job, emit: Callable[[Chunk], None], cancelled: Callable[[], bool]
    ) -> None:
        self._count(+1)
        try:
            self._generate(job, emit, cancelled)
        finally:
            self._count(-1)

    def _generate(
        self, job: Job, emit: Callable[[Chunk], None], cancelled: Callable[[], bool]
    ) -> None:
        if self._driver.dead:
            raise _dead()
        if max(job.input_ids) >= self._vocabulary.size:
            raise ContractError("bad_tensor", "input_ids has an id outside the vocabulary")
        params = sampling_params(job.sampling, self._ends)
        text = len(job.input_ids) - len(job.images)
        ticket = self._driver.submit(job, self._pictures(job), params)
        done = False
        answer = Answer(job.sampling, self._vocabulary)
        try:
            while True:
                if cancelled():
                    self._driver.cancel(ticket)
                    done = self._ended(ticket)
                    emit(answer.finish("cancelled", _prompt(text, ticket)))
                    return
                for event in _arrived(ticket, _POLL_SECONDS):
                    match event:
                        case Failed(error):
                            done = True
                            raise self._in_our_words(error, job) from error
                        case Delta():
                            done = bool(event.finish)
                            if self._said(answer, event, _prompt(text, ticket), emit):
                                return
        finally:
            if not done:
                self._driver.cancel(ticket)

    def _pictures(self, job: Job) -> list[Picture]:
        """Decoded in the job's own thread, beside those of other jobs, where vLLM does not know them."""
        pictures = [Picture.of(data, job.sampling.cache_scope) for data in job.images]
        for picture in pictures:
            if not self._driver.known(picture):
                picture.decoded()
        return pictures

    def _said(
        self,
        answer: Answer,
        delta: Delta,
        prompt: tuple[int, int],
        emit: Callable[[Chunk], None],
    ) -> bool:
        """Sends what there is; True when that was the end."""
        chunk = answer.take(delta)
        if not (answer.closed or delta.finish):
            if chunk is not None:
                emit(chunk)
            return False
        if delta.finish == "error":
            raise ContractError("engine_failed", "the engine could not finish this request")
        reason = "stop" if answer.closed else {"abort": "cancelled"}.get(delta.finish, delta.finish)
        last = answer.finish(reason, prompt)
        # One message less: what is left and the end go together.
        emit(last if chunk is None else _together(chunk, last))
        return True

    def _ended(self, ticket: Ticket) -> bool:
        """Waits until the engine was told; True (a cancelled ticket always ends)."""
        while True:
            for event in ticket.events.take(_POLL_SECONDS):
                if isinstance(event, Failed) or event.finish:
                    return True

    def _in_our_words(self, error: BaseException, job: Job) -> Exception:
        if isinstance(error, ContractError):
            return error
        if self._driver.dead:
            return _dead()
        from vllm.exceptions import VLLMClientError

        if isinstance(error, (VLLMClientError, ValueError)):
            if job.sampling.json_schema is not None:
                return ContractError("bad_schema", "json_schema asks for what cannot be followed")
            if "longer than" in str(error) or "context length" in str(error):
                return ContractError(
                    "prompt_too_long", "the prompt with its pictures does not fit the context"
                )
        return RuntimeError(f"vLLM: {type(error).__name__}: {error}")

    def _count(self, step: int) -> None:
        with self._changed:
            self._active += step
            self._changed.notify_all()

    def _died(self) -> None:
        """Called once, in the driver's thread."""
        threading.Thread(target=self._end, name="vllm-end", daemon=True).start()

    def _end(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._active == 0, timeout=_LAST_WORDS_SECONDS)
        self._leave()


def _arrived(ticket: Ticket, seconds: float) -> list[Delta | Failed]:
    """What has come since, deltas joined: whoever lags sends fewer and larger chunks."""
    events: list[Delta | Failed] = []
    for event in ticket.events.take(seconds):
        last = events[-1] if events else None
        if isinstance(event, Delta) and isinstance(last, Delta):
            events[-1] = last.then(event)
        else:
            events.append(event)
    return events


def _prompt(text: int, ticket: Ticket) -> tuple[int, int]:
    """Tokens of the prompt's text and of its pictures; of the latter none before the engine has taken it."""
    return text, max(0, ticket.prompt - text)


def _together(first: Chunk, last: Chunk) -> Chunk:
    return Chunk(
        token_ids=first.token_ids + last.token_ids,
        text=first.text + last.text,
        logprobs=first.logprobs + last.logprobs,
        finish_reason=last.finish_reason,
        details=last.details,
        usage=last.usage,
    )


def _dead() -> ContractError:
    return ContractError("engine_failed", "the engine died and is being started again")


def _missing(path: Path, name: str) -> str:
    return (
        f"{path} is missing: run `python -m kefu_modelhost pull {name}`, or set KEFU_WEIGHTS_DIR to the folder"
        " that has it"
    )
