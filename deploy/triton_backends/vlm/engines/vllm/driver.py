"""vLLM in an event loop of its own, and the way in and out of it for other threads.

driver = Driver(card, weights, stats, on_death); driver.start()
ticket = driver.submit(job, pictures)
while True: events = ticket.events.take(0.02)   # Delta, …, Delta with finish; or Failed
driver.cancel(ticket)
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines.base import Batch, Card, ContractError, Job
from engines.outbox import Outbox
from engines.vllm.answer import Delta
from engines.vllm.launch import prepare_process, start_vllm
from engines.vllm.pictures import Picture
from engines.vllm.prompt import PromptIds
from engines.vllm.stats import Stats

# A job whose pictures take longer to prepare than this starts alone.
_TOGETHER_SECONDS = 0.25
_LOOK_SECONDS = 0.002
_HEALTH_SECONDS = 0.5
_SHUTDOWN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Failed:
    error: BaseException


@dataclass(slots=True, eq=False)
class Ticket:
    """A job in the engine. `events` is read by the thread that submitted it; `prompt`: its tokens with all pictures in
    it, once the engine has taken it."""

    number: int
    job: Job
    pictures: Sequence[Picture]
    params: Any
    task: asyncio.Task[None] | None = None
    cancelled: bool = False
    # Of the task: it has had its first step; it was cancelled.
    begun: bool = False
    dropped: bool = False
    prompt: int = 0
    events: Outbox[Delta | Failed] = field(init=False)

    def __post_init__(self) -> None:
        self.events = Outbox.of(self.job.sampling)


class Driver:
    """Everything behind `submit` happens in one thread, the loop's."""

    def __init__(
        self,
        card: Card,
        weights: Path,
        stats: Stats,
        on_death: Callable[[], None],
    ) -> None:
        self._card = card
        self._weights = weights
        self._stats = stats
        self._on_death = on_death
        self._numbers = itertools.count()
        self._loop: asyncio.AbstractEventLoop
        self._llm: Any
        self._prompt: PromptIds
        self._batches: dict[Batch, list[Ticket]] = {}
        self._tickets: set[Ticket] = set()
        self._entering: set[asyncio.Task[None]] = set()
        self.dead = False

    def start(self) -> None:
        """Loads the model; minutes. Raises StartError."""
        tokenizer = self._weights / self._card.raw.get("tokenizer", "tokenizer.json")
        self._prompt = PromptIds(self._card, tokenizer)
        prepare_process()
        started: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, args=(started,), name="vllm", daemon=True).start()
        error = started.get()
        if error is not None:
            raise error

    def submit(self, job: Job, pictures: Sequence[Picture], params: Any) -> Ticket:
        ticket = Ticket(next(self._numbers), job, pictures, params)
        job.ready()
        self._loop.call_soon_threadsafe(self._take, ticket)
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Its last event follows as soon as the engine was told."""
        ticket.cancelled = True
        self._loop.call_soon_threadsafe(self._drop, ticket)

    def known(self, picture: Picture) -> bool:
        """Whether vLLM still has what its processor made of the picture."""
        cache = self._llm.renderer.mm_processor_cache
        return cache is not None and bool(cache.is_cached_item(picture.name))

    def close(self) -> None:
        """Ends everything that runs, and the engine's processes."""
        self.dead = True
        done = asyncio.run_coroutine_threadsafe(self._close(), self._loop)
        with contextlib.suppress(Exception):
            done.result(10 * _SHUTDOWN_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)

    # From here on: in the loop's thread.

    def _run(self, started: queue.SimpleQueue[BaseException | None]) -> None:
        self._loop = _new_loop()
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._start())
        except BaseException as error:
            started.put(error)
            return
        started.put(None)
        self._loop.run_forever()

    async def _start(self) -> None:
        self._llm = start_vllm(self._card, self._weights, self._stats)
        await self._llm.get_supported_tasks()
        self._order = asyncio.Lock()
        self._watch = asyncio.ensure_future(self._health())

    def _take(self, ticket: Ticket) -> None:
        self._tickets.add(ticket)
        waiting = self._batches.get(ticket.job.batch)
        if waiting is not None:
            waiting.append(ticket)
            return
        self._batches[ticket.job.batch] = [ticket]
        task = self._loop.create_task(self._enter(ticket.job.batch))
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)

    def _drop(self, ticket: Ticket) -> None:
        """Once, and not before its first step: a task that is cancelled earlier never runs at all, and nobody hears
        of its end; one that is cancelled again may not come to say it."""
        if ticket.task is None or ticket.dropped:
            return  # `_begin` looks again
        if not ticket.begun:
            self._loop.call_soon(self._drop, ticket)
            return
        ticket.dropped = True
        ticket.task.cancel()

    async def _enter(self, batch: Batch) -> None:
        """Lets the jobs of a batch wait for each other, then puts them into the engine one right behind the other."""
        end = self._loop.time() + _TOGETHER_SECONDS
        # Jobs say that they are ready from threads of their own, some by failing: nothing to wait on but time.
        while not batch.complete and self._loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
        tickets = self._batches.pop(batch)
        if not any(ticket.pictures for ticket in tickets):
            self._begin([(ticket, await self._rendered(ticket)) for ticket in tickets])
            return
        # vLLM sends a picture's data along with the first prompt that has it: prompts must enter in the order in which
        # they were rendered.
        async with self._order:
            self._begin([(ticket, await self._rendered(ticket)) for ticket in tickets])

    def _begin(self, prompts: Sequence[tuple[Ticket, Any]]) -> None:
        for ticket, prompt in prompts:
            if prompt is None:
                self._tickets.discard(ticket)
                continue
            ticket.task = self._loop.create_task(self._answer(ticket, prompt))
            if ticket.cancelled:
                # What was rendered must reach the engine all the same (see `_enter`).
                self._drop(ticket)

    async def _rendered(self, ticket: Ticket) -> Any:
        """The prompt with its pictures' tokens in it; None where that failed (the ticket has heard of it)."""
        try:
            return await self._render(ticket)
        except Exception as error:
            ticket.events.put(Failed(error), at_once=True)
            return None

    async def _render(self, ticket: Ticket) -> Any:
        renderer = self._llm.renderer
        prompt: dict[str, Any] = {"prompt_token_ids": self._prompt.ids(ticket.job.input_ids)}
        if ticket.job.sampling.cache_scope:
            # Nothing of the prefix cache is shared with another scope.
            prompt["cache_salt"] = ticket.job.sampling.cache_scope
        if ticket.pictures:
            images = [
                # Without its data vLLM takes what it has under the name.
                None if self.known(picture) else await asyncio.to_thread(picture.decoded)
                for picture in ticket.pictures
            ]
            prompt["multi_modal_data"] = {"image": images}
            prompt["multi_modal_uuids"] = {"image": [p.name for p in ticket.pictures]}
        (rendered,) = await renderer.render_cmpl_async([prompt])
        tokens = len(rendered["prompt_token_ids"])
        longest = self._llm.model_config.max_model_len
        if tokens >= longest:
            self._forget(ticket.pictures)
            raise ContractError(
                "prompt_too_long",
                f"the prompt has {tokens} tokens with its pictures, the context {longest}",
            )
        ticket.prompt = tokens
        return rendered

    def _forget(self, pictures: Sequence[Picture]) -> None:
        """vLLM believes that the engine has the data of what was rendered; it never got there."""
        cache = self._llm.renderer.mm_processor_cache
        for picture in pictures:
            if cache is not None:
                cache.invalidate(picture.name)

    async def _answer(self, ticket: Ticket, prompt: Any) -> None:
        events, name = ticket.events, f"{self._card.name}-{ticket.number}"
        ticket.begun = True
        try:
            async for output in self._llm.generate(prompt, ticket.params, name):
                written = output.outputs[0]
                finish = written.finish_reason or ("stop" if output.finished else "")
                logprobs = _logprobs(written.token_ids, written.logprobs)
                events.put(Delta(tuple(written.token_ids), logprobs, finish), at_once=bool(finish))
        except asyncio.CancelledError:
            # vLLM does so itself, but not for a request that was just on its way in.
            try:
                await self._llm.abort(name)
            finally:
                events.put(Delta((), (), "abort"), at_once=True)
        except Exception as error:
            self._look()
            events.put(Failed(error), at_once=True)
        finally:
            self._tickets.discard(ticket)
            if not self._tickets:
                self._stats.idle()

    async def _health(self) -> None:
        while True:
            await asyncio.sleep(_HEALTH_SECONDS)
            self._look()

    def _look(self) -> None:
        if self._llm.errored and not self.dead:
            self.dead = True
            self._on_death()

    async def _close(self) -> None:
        self._watch.cancel()
        for ticket in list(self._tickets):
            self._drop(ticket)
        await asyncio.sleep(0)
        await asyncio.to_thread(self._llm.shutdown, _SHUTDOWN_SECONDS)


def _logprobs(token_ids: Sequence[int], logprobs: Any) -> tuple[float, ...]:
    """Of the tokens that were chosen; vLLM gives a mapping a token, which can hold others beside it."""
    if not logprobs:
        return ()
    return tuple(float(at[token].logprob) for token, at in zip(token_ids, logprobs, strict=False))


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
