"""The engine's one thread: who joins the batch, who goes, and what is done when something breaks.

Between two steps rows leave (finished, cancelled) and waiting ones are read and join: nobody waits for the longest
answer of a batch.  Whatever breaks, breaks for as few rows as can be:

| broken | answer |
| --- | --- |
| no memory while prompts are read | fewer at a time; one alone waits until the others are done; then it is refused |
| no memory in a step | the youngest row leaves and is read again later, what it has answered included |
| anything else while prompts are read | each alone; the one that breaks alone is told |
| anything else in a step | all rows of the step are told |
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence

import torch

from engines.base import ContractError, Meter
from engines.transformers.batch import Batch
from engines.transformers.rows import Row, Token
from engines.transformers.sampler import Sampler

COUNTERS = {
    "kefu_transformers_steps_total": "Steps: one more token for every row of the batch",
    "kefu_transformers_step_rows_total": "Rows in all steps; by steps it is how full the batch was",
    "kefu_transformers_reads_total": "Passes over prompts; several prompts can be read in one",
    "kefu_transformers_prompt_tokens_total": "Tokens of prompts read, pictures included",
    "kefu_transformers_put_back_total": "Rows that left the batch for want of memory and were read again",
}
GAUGES = {"kefu_transformers_waiting_rows": "Requests that wait for a place in the batch"}
_LOOK_SECONDS = 0.005


class Scheduler:
    """See above.  `finish` is called for each row that ended by itself, before it leaves the batch."""

    def __init__(
        self,
        batch: Batch,
        sampler: Sampler,
        meter: Meter,
        *,
        end_ids: frozenset[int],
        max_rows: int,
        kv_tokens: int,
        prefill_tokens: int,
        gather_seconds: float,
        finish: Callable[[Row, Batch], None],
    ) -> None:
        self._batch = batch
        self._sampler = sampler
        self._meter = meter
        self._end_ids = end_ids
        self._max_rows = max_rows
        self._kv_tokens = kv_tokens
        self._prefill_tokens = prefill_tokens
        self._gather_seconds = gather_seconds
        self._finish = finish
        self._waiting: deque[Row] = deque()
        self._changed = threading.Condition()
        self._closing = False
        # Rows of one read; fewer after the memory did not suffice, all again once the batch was empty.
        self._together = max_rows
        self._read_now: list[Row] = []
        self._thread = threading.Thread(target=self._run, name="vlm-steps", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, row: Row) -> None:
        with self._changed:
            if self._closing:
                raise ContractError("shutting_down", "the model is being unloaded")
            self._waiting.append(row)
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        with torch.inference_mode():
            while not self._closing:
                self._safely()
        for row in (*self._batch.rows, *self._waiting):
            row.fail(ContractError("shutting_down", "the model is being unloaded"))
        self._batch.clear()

    def _safely(self) -> None:
        try:
            self._once()
        except Exception as error:  # a fault of ours: it must not leave everybody waiting for ever
            traceback.print_exception(error)
            rows, self._read_now = [*self._batch.rows, *self._read_now], []
            self._batch.clear()
            for row in rows:
                row.fail(error)

    def _once(self) -> None:
        self._drop([row for row in self._batch.rows if row.gone])
        self._read_now = self._joining()
        self._meter.set("kefu_vlm_busy_slots", len(self._batch.rows) + len(self._read_now))
        self._meter.set("kefu_transformers_waiting_rows", len(self._waiting))
        if self._read_now:
            self._read(self._read_now)
            self._read_now = []
        elif self._batch.rows:
            self._step()
        else:
            self._together = self._max_rows
            self._rest()

    def _drop(self, rows: Sequence[Row]) -> None:
        staying = [row for row in self._batch.rows if row not in rows]
        try:
            self._batch.drop(rows)
        except torch.OutOfMemoryError:
            _free()
            self._put_back(staying)

    def _rest(self) -> None:
        with self._changed:
            if self._closing:
                return
            # Rows that wait for others of their batch are looked after; without any, nothing happens until one comes.
            self._changed.wait(_LOOK_SECONDS if self._waiting else None)

    def _joining(self) -> list[Row]:
        """The waiting rows to read now, in the order in which they came, as far as there is room for them."""
        with self._changed:
            self._waiting = deque(row for row in self._waiting if not row.gone)
            rows: list[Row] = []
            held, longest = self._batch.tokens, 0
            for row in self._waiting:
                if not self._may_start(row):
                    continue
                longest = max(longest, len(row.prompt.ids) + len(row.answer))
                alone = not rows and not self._batch.rows
                fits = (
                    len(self._batch.rows) + len(rows) < self._max_rows
                    and len(rows) < self._together
                    and held + row.tokens <= self._kv_tokens
                    and longest * (len(rows) + 1) <= self._prefill_tokens
                )
                # A prompt larger than every limit is still tried where nobody else would suffer.
                if not fits and not (alone or (not rows and self._fits_next(row, held))):
                    break
                held += row.tokens
                rows.append(row)
            for row in rows:
                self._waiting.remove(row)
            return rows

    def _fits_next(self, row: Row, held: int) -> bool:
        """A prompt longer than prefill_tokens is read by itself, beside rows that are being answered."""
        return len(self._batch.rows) < self._max_rows and held + row.tokens <= self._kv_tokens

    def _may_start(self, row: Row) -> bool:
        waited = time.monotonic() - row.arrived
        return row.job.batch.complete or waited > self._gather_seconds

    def _read(self, rows: Sequence[Row]) -> None:
        before = self._batch.rows
        try:
            logits = self._batch.read(rows)
        except torch.OutOfMemoryError:
            _free()
            if before and not self._batch.rows:
                self._put_back(before)
            self._no_room(rows, beside=bool(before))
            return
        except Exception as error:
            self._broken(rows, error)
            return
        self._meter.add("kefu_transformers_reads_total")
        self._meter.add(
            "kefu_transformers_prompt_tokens_total", sum(len(row.prompt.ids) for row in rows)
        )
        self._write(rows, logits)

    def _no_room(self, rows: Sequence[Row], *, beside: bool) -> None:
        if len(rows) > 1:
            self._together = max(1, len(rows) // 2)
        elif not beside:
            _say(
                "out of memory for one prompt alone: lower picture.max_pixels or context_tokens in the card, or"
                " engine_settings.kv_tokens or memory, so that more stays free"
            )
            rows[0].out_of_memory()
            return
        else:
            # Until somebody leaves.
            self._kv_tokens = max(1, self._batch.tokens)
            _say(f"out of memory beside others: engine_settings.kv_tokens is {self._kv_tokens} now")
        self._put_back(rows)

    def _broken(self, rows: Sequence[Row], error: Exception) -> None:
        traceback.print_exception(error)
        _give_up_if_lost(error)
        if len(rows) == 1:
            rows[0].fail(error)
            return
        for row in rows:
            self._read([row])

    def _step(self) -> None:
        rows = list(self._batch.rows)
        try:
            logits = self._batch.step()
        except torch.OutOfMemoryError:
            _free()
            youngest = rows[-1]
            self._drop([youngest])
            if len(rows) == 1:
                youngest.out_of_memory()
                return
            self._kv_tokens = max(1, self._batch.tokens)
            _say(f"out of memory in a step: engine_settings.kv_tokens is {self._kv_tokens} now")
            self._put_back([youngest])
            return
        except Exception as error:
            traceback.print_exception(error)
            self._batch.clear()
            for row in rows:
                row.fail(error)
            _give_up_if_lost(error)
            return
        self._meter.add("kefu_transformers_steps_total")
        self._meter.add("kefu_transformers_step_rows_total", len(rows))
        self._write(rows, logits)

    def _put_back(self, rows: Sequence[Row]) -> None:
        self._meter.add("kefu_transformers_put_back_total", len(rows))
        with self._changed:
            self._waiting.extendleft(reversed(rows))

    def _write(self, rows: Sequence[Row], logits: torch.Tensor) -> None:
        """One token for each of these rows; those that end leave the batch."""
        masks, over = {}, []
        for number, row in enumerate(rows):
            if row.follower is not None and not row.gone:
                try:
                    masks[number] = row.follower.allowed()
                except ContractError as error:
                    row.fail(error)
        penalties = {
            number: (row.penalties, row.answer)
            for number, row in enumerate(rows)
            if row.penalties is not None
        }
        tokens, logprobs = self._sampler.pick(
            logits, [row.choice for row in rows], masks, penalties
        )
        self._meter.add("kefu_vlm_progress_total", len(rows))
        for row, token, logprob in zip(rows, tokens, logprobs, strict=True):
            if row.gone or row.ended:
                over.append(row)
            elif reason := self._take(row, token, logprob):
                over.append(row)
                self._close(row, reason)
        self._drop(over)

    def _take(self, row: Row, token: int, logprob: float) -> str:
        """Why the row ends here, empty while it goes on."""
        if math.isnan(logprob):
            row.fail(RuntimeError("the model's logits are not numbers"))
            return "error"
        if token in self._end_ids:
            return "stop"
        row.put(Token(token, logprob))
        if row.follower is not None:
            row.follower.take(token)
            if row.follower.done:
                return "stop"
        return "length" if len(row.answer) >= row.most else ""

    def _close(self, row: Row, reason: str) -> None:
        if row.ended:
            return
        try:
            self._finish(row, self._batch)
        except Exception as error:  # an artefact is worth less than the answer that it belongs to
            traceback.print_exception(error)
        row.end(reason)


def _free() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _give_up_if_lost(error: Exception) -> None:
    """A GPU that has failed stays failed for this process: the model host starts a new one."""
    if isinstance(error, torch.AcceleratorError):
        _say("the accelerator has failed; this process ends, so that the model is loaded anew")
        os._exit(70)


def _say(text: str) -> None:
    print(f"transformers: {text}", file=sys.stderr, flush=True)
