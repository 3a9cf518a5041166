"""Any vision-language model that the library `transformers` runs, batched step by step.

generate() (a thread a request): pictures to tensors, the prompt laid out, then tokens to text as they come.
Scheduler (one thread): the batch; see `scheduler.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch

from engines.base import Chunk, ContractError, EngineContext, Job, Sampling, Usage
from engines.gate import TextGate
from engines.pictures import decode_picture
from engines.transformers.batch import Batch
from engines.transformers.families import Family, family_of
from engines.transformers.heatmap import Watcher
from engines.transformers.loading import Loaded, load
from engines.transformers.penalties import Penalties
from engines.transformers.rows import End, Row, Token
from engines.transformers.sampler import Sampler, choice
from engines.transformers.scheduler import COUNTERS, GAUGES, Scheduler
from engines.transformers.settings import TransformersSettings
from engines.transformers.vocabulary import Vocabulary

_POLL_SECONDS = 0.03
_CPU_KV_TOKENS = 65536


class TransformersEngine:
    """See `engines.base.Engine`."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._card = context.card
        self._settings = TransformersSettings.parse(context.card.settings)
        self._preparing = threading.BoundedSemaphore(
            self._settings.picture_threads or self._settings.cores
        )
        self._family: Family
        self._vocabulary: Vocabulary
        self._scheduler: Scheduler
        self._watcher: Watcher

    def start(self) -> None:
        card, settings = self._card, self._settings
        self._context.meter.declare(COUNTERS, GAUGES)
        torch.set_num_threads(settings.cpu_threads or settings.cores)
        loaded = load(card, self._context.weights, settings, self._context.device_id)
        self._family = family_of(loaded, card)
        self._vocabulary = Vocabulary(
            self._context.weights / card.raw["tokenizer"],
            size=loaded.config.get_text_config().vocab_size,
            end_ids=loaded.end_ids,
        )
        size, known = self._vocabulary.size, self._vocabulary.known
        sampler = Sampler(size, [*self._family.unspoken, *range(known, size)], loaded.device)
        self._watcher = Watcher(loaded.model, loaded.device, settings.heatmap_side)
        self._scheduler = Scheduler(
            Batch(loaded.model, loaded.device, pad_id=min(loaded.end_ids)),
            sampler,
            self._context.meter,
            end_ids=loaded.end_ids,
            max_rows=settings.max_rows,
            kv_tokens=settings.kv_tokens or kv_room(loaded, settings),
            prefill_tokens=settings.prefill_tokens,
            gather_seconds=settings.gather_ms / 1000,
            finish=self._finish,
        )
        self._scheduler.start()

    def close(self) -> None:
        self._scheduler.close()

    def generate(
        self, job: Job, emit: Callable[[Chunk], None], cancelled: Callable[[], bool]
    ) -> None:
        row = self._row(job)
        gate = TextGate(stops=job.sampling.stop, logprobs=job.sampling.logprobs)
        self._scheduler.submit(row)
        job.ready()
        try:
            reason = self._pass_on(row, gate, emit, cancelled)
        finally:
            row.leave()
        last = gate.finish() or Chunk()
        prompt = row.prompt
        emit(
            Chunk(
                token_ids=last.token_ids,
                text=last.text,
                logprobs=last.logprobs,
                finish_reason=reason,
                details={"debug": {"attention": row.debug}} if row.debug else None,
                usage=Usage(len(prompt.ids) - prompt.visual, prompt.visual, gate.tokens_sent),
            )
        )

    def _row(self, job: Job) -> Row:
        if max(job.input_ids) >= self._vocabulary.known:
            raise ContractError("bad_tensor", "input_ids has an id outside the vocabulary")
        sampling = job.sampling
        follower = (
            None if sampling.json_schema is None else self._vocabulary.follow(sampling.json_schema)
        )
        with self._preparing:
            pictures = [decode_picture(p, self._settings.picture_pixels) for p in job.images]
            prompt = self._family.prepare(job.input_ids, pictures)
        room = self._card.context_tokens - len(prompt.ids)
        if room < 1:
            raise ContractError(
                "prompt_too_long",
                f"the prompt has {len(prompt.ids)} tokens with its pictures, the context"
                f" {self._card.context_tokens}",
            )
        return Row(
            job=job,
            prompt=prompt,
            most=min(sampling.max_tokens, room),
            choice=choice(
                sampling.temperature,
                sampling.top_p,
                sampling.seed,
                sampling.top_k,
                sampling.min_p,
            ),
            follower=follower,
            penalties=_penalties(prompt.ids, sampling),
            pictures=pictures if sampling.debug else (),
        )

    def _pass_on(
        self,
        row: Row,
        gate: TextGate,
        emit: Callable[[Chunk], None],
        cancelled: Callable[[], bool],
    ) -> str:
        """Tokens to text until the row ends; the finish reason."""
        while True:
            came = row.take(_POLL_SECONDS)
            if cancelled():
                return "cancelled"
            ready: list[Chunk] = []
            end: End | None = None
            for one in came:
                if isinstance(one, Token):
                    chunk = gate.push(one.id, one.logprob, self._vocabulary.bytes_of(one.id))
                    if chunk is not None:
                        ready.append(chunk)
                else:
                    end = one
            if ready:
                emit(_together(ready))
            if gate.closed:
                return "stop"
            if end is not None:
                if end.error is not None:
                    raise end.error
                return end.reason

    def _finish(self, row: Row, batch: Batch) -> None:
        if row.job.sampling.debug:
            row.debug = self._watcher.maps(row, batch)


def _penalties(prompt: Sequence[int], sampling: Sampling) -> Penalties | None:
    if sampling.repetition_penalty == 1.0 and sampling.presence_penalty == 0.0:
        return None
    return Penalties(
        prompt, repetition=sampling.repetition_penalty, presence=sampling.presence_penalty
    )


def kv_room(loaded: Loaded, settings: TransformersSettings) -> int:
    """Tokens whose keys and values fit beside the weights."""
    if loaded.device.type != "cuda":
        return _CPU_KV_TOKENS
    free, total = torch.cuda.mem_get_info(loaded.device)
    # Joining two batches and leaving one each hold a second copy of one layer, and steps need room of their own.
    room = free - (1 - settings.memory) * total
    return max(1, int(room * 0.8 / bytes_per_token(loaded.config, loaded.model.dtype)))


def bytes_per_token(config: Any, dtype: torch.dtype) -> int:
    """Of keys and values, all layers."""
    text = config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return int(2 * text.num_hidden_layers * heads * size * dtype.itemsize)


def _together(chunks: list[Chunk]) -> Chunk:
    if len(chunks) == 1:
        return chunks[0]
    return Chunk(
        token_ids=tuple(i for c in chunks for i in c.token_ids),
        text="".join(c.text for c in chunks),
        logprobs=tuple(p for c in chunks for p in c.logprobs),
    )
