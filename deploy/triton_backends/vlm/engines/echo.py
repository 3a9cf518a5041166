"""A model that is none: it answers with the prompt's own text, at once, byte by byte.  For tests and benchmarks.

Token ids 0-255 are bytes; the specials of the card follow (`kefu_modelhost.tokenizer.build_byte_tokenizer`).  The
answer is the text of the prompt.  A first line of the form

    @echo tokens=64 token_ms=20 fixed_ms=5 item_ms=1

is not part of the text and says how to answer; the same names in `engine_settings` are the defaults:

| name | meaning |
| --- | --- |
| tokens | length of the answer in tokens, the text repeated or cut; 0 (default): the text once |
| token_ms | pause before each token |
| fixed_ms, item_ms | a device that serves whoever waits together, in fixed_ms + item_ms a request; `device_batch` |
|                   | in `engine_settings` (default 64) is the most that it serves together |
| crash_after | the process kills itself after so many tokens |
| fail_after | the engine raises an error after so many tokens |
| hang_after | the engine neither answers nor hears a cancellation after so many tokens |

`engine_settings` alone can also say:

| name | meaning |
| --- | --- |
| start_ms | pause in which it "loads" |
| start_error | loading fails with these words |
| dead_after | after so many answers every other one fails until the model is loaded again, as with an engine that |
|            | lost its own process; probes count |

JSON schemas, temperature and seed are taken and have no effect.
"""

from __future__ import annotations

import itertools
import os
import queue
import signal
import threading
from collections.abc import Callable, Mapping

from engines.base import Chunk, ContractError, EngineContext, Job, Meter, Usage
from engines.gate import TextGate

_LOGPROB = -0.125
_POLL_SECONDS = 0.01
_DIRECTIVE = b"@echo "


class _Place:
    """One request's place in the device's queue. Its owner may give it up while it waits."""

    def __init__(self, fixed: float, item: float) -> None:
        self.fixed = fixed
        self.item = item
        self.given_up = False
        self.served = threading.Event()


class _Device:
    """Serves all that wait at once, `most` together, then the next ones: an accelerator as it looks from outside.

    What is being served cannot be stopped; what waits can.
    """

    def __init__(self, closed: threading.Event, most: int, meter: Meter) -> None:
        self._closed = closed
        self._most = most
        self._meter = meter
        self._queue: queue.SimpleQueue[_Place] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="echo-device", daemon=True).start()

    def serve(self, fixed: float, item: float, cancelled: Callable[[], bool]) -> None:
        """Returns when the device has served this request, or it was cancelled while it waited. Seconds; the first of
        a batch says how long it takes."""
        place = _Place(fixed, item)
        self._queue.put(place)
        while not place.served.wait(_POLL_SECONDS) and not self._closed.is_set():
            if cancelled():
                place.given_up = True
                return

    def _run(self) -> None:
        while not self._closed.is_set():
            together = [place for place in [self._queue.get()] if not place.given_up]
            while together and len(together) < self._most and not self._queue.empty():
                place = self._queue.get()
                if not place.given_up:
                    together.append(place)
            if not together:
                continue
            seconds = together[0].fixed + together[0].item * len(together)
            self._closed.wait(seconds)
            self._meter.add("kefu_echo_device_busy_seconds_total", seconds)
            self._meter.add("kefu_echo_device_batches_total")
            self._meter.add("kefu_echo_device_served_total", len(together))
            for place in together:
                place.served.set()


class EchoEngine:
    """See `engines.base.Engine`."""

    def __init__(self, context: EngineContext) -> None:
        self._defaults = context.card.settings
        self._vocabulary = 256 + len(context.card.raw["tokenizer_source"]["specials"])
        self._closed = threading.Event()
        most = int(context.card.settings.get("device_batch", 64))
        self._device = _Device(self._closed, most, context.meter)
        self._settings = context.card.settings
        self._answers = itertools.count(1)
        self._meter = context.meter

    def start(self) -> None:
        """Has nothing to load, and takes as long as it is told."""
        self._closed.wait(float(self._settings.get("start_ms", 0)) / 1000)
        if error := self._settings.get("start_error"):
            raise RuntimeError(str(error))

    def close(self) -> None:
        self._closed.set()

    def generate(
        self, job: Job, emit: Callable[[Chunk], None], cancelled: Callable[[], bool]
    ) -> None:
        if max(job.input_ids) >= self._vocabulary:
            raise ContractError("bad_tensor", "input_ids has an id outside the vocabulary")
        if next(self._answers) > int(self._settings.get("dead_after", 1 << 62)):
            raise RuntimeError("the engine's process is gone")
        how, text = _directive(bytes(i for i in job.input_ids if i < 256), self._defaults)
        if how["fixed_ms"] or how["item_ms"]:
            self._device.serve(how["fixed_ms"] / 1000, how["item_ms"] / 1000, cancelled)
        count = int(how["tokens"]) or len(text)
        tokens = itertools.islice(
            itertools.cycle(text or b"."), min(count, job.sampling.max_tokens)
        )
        gate = TextGate(stops=job.sampling.stop, logprobs=job.sampling.logprobs)
        reason = "length" if count > job.sampling.max_tokens else "stop"
        # Without pauses the whole answer is one chunk: a benchmark measures the road, not this loop.
        ready: list[Chunk] = []
        for number, byte in enumerate(tokens):
            self._misbehave(how, number)
            if how["token_ms"]:
                self._flush(ready, emit)
                self._closed.wait(how["token_ms"] / 1000)
            if cancelled():
                reason = "cancelled"
                break
            chunk = gate.push(byte, _LOGPROB, bytes([byte]))
            if chunk is not None:
                ready.append(chunk)
            if gate.closed:
                reason = "stop"
                break
        self._flush(ready, emit)
        last = gate.finish() or Chunk()
        visual = len(job.images)
        emit(
            Chunk(
                token_ids=last.token_ids,
                text=last.text,
                logprobs=last.logprobs,
                finish_reason=reason,
                usage=Usage(len(job.input_ids) - visual, visual, gate.tokens_sent),
            )
        )

    def _flush(self, ready: list[Chunk], emit: Callable[[Chunk], None]) -> None:
        if ready:
            self._meter.add("kefu_vlm_progress_total", len(ready))
            emit(
                Chunk(
                    token_ids=tuple(i for c in ready for i in c.token_ids),
                    text="".join(c.text for c in ready),
                    logprobs=tuple(p for c in ready for p in c.logprobs),
                )
            )
            ready.clear()

    def _misbehave(self, how: Mapping[str, float], number: int) -> None:
        if number == how["crash_after"]:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == how["fail_after"]:
            raise RuntimeError("asked to fail")
        while number == how["hang_after"] and not self._closed.wait(_POLL_SECONDS):
            pass


def _directive(prompt: bytes, defaults: Mapping[str, float]) -> tuple[dict[str, float], bytes]:
    """How to answer, and the text without its first line if that says so."""
    how = {
        "tokens": 0.0,
        "token_ms": 0.0,
        "fixed_ms": 0.0,
        "item_ms": 0.0,
        "crash_after": -1.0,
        "fail_after": -1.0,
        "hang_after": -1.0,
    }
    how |= {k: float(v) for k, v in defaults.items() if k in how}
    if not prompt.startswith(_DIRECTIVE):
        return how, prompt
    line, _, text = prompt.partition(b"\n")
    for word in line[len(_DIRECTIVE) :].decode("ascii", "replace").split():
        name, _, value = word.partition("=")
        try:
            how[name] = float(value)
        except ValueError:
            raise ContractError(
                "bad_tensor", f"the echo directive has no number in {word!r}"
            ) from None
    return how, text
