"""The language model of the reader: llama.cpp inside this process, through xllamacpp.

The library opens an HTTP listener of its own, which nobody here wants.  It is told to listen on a unix socket in a
folder that only this user can enter, with a random key, and the socket is removed as soon as the server runs: from
then on there is no address at which it could be reached.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.base import Meter, Sampling

_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Token:
    """One token that the model wrote: id, natural logarithm of its probability, its bytes."""

    id: int
    logprob: float
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmSettings:
    """slots: answers written at once; context_tokens: of one answer with its prompt; pool_tokens: of all together
    (they share one cache); batch: prompt tokens between two looks at cancellation; cache_mib: memory for the prompts
    of conversations that lost their slot; threads: for writing, batch_threads: for reading prompts."""

    slots: int
    context_tokens: int
    pool_tokens: int
    batch: int = 128
    cache_mib: int = 96
    threads: int = 1
    batch_threads: int = 1


class Llm:
    """Completions of token ids; safe to call from several threads."""

    def __init__(self, model: Path, settings: LlmSettings, meter: Meter) -> None:
        self._model = model
        self._settings = settings
        self._meter = meter
        self._server: Any = None
        self._free = threading.Condition()
        self._busy = 0
        self._used_tokens = 0

    def start(self) -> None:
        """Loads the weights; RuntimeError when llama.cpp cannot, or when it listens where it was not told to."""
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(self._model)
        params.n_ctx = self._settings.pool_tokens
        params.n_parallel = self._settings.slots
        params.kv_unified = True
        params.n_batch = params.n_ubatch = self._settings.batch
        params.cpuparams.n_threads = self._settings.threads
        params.cpuparams_batch.n_threads = self._settings.batch_threads
        params.cache_ram_mib = self._settings.cache_mib
        params.n_gpu_layers = 0
        params.fit_params = False
        params.warmup = True
        params.verbosity = -1
        params.ui = False
        params.endpoint_slots = False
        params.endpoint_props = False
        params.n_threads_http = 1
        params.api_keys = [secrets.token_urlsafe(32)]
        folder = Path(tempfile.mkdtemp(prefix="kefu-llm-"))
        socket = folder / "http.sock"
        params.hostnames = [str(socket)]
        try:
            self._server = xllamacpp.Server(params)
            address = str(self._server.listening_address)
        finally:
            with contextlib.suppress(FileNotFoundError):
                socket.unlink()
            os.rmdir(folder)
        if not address.startswith("unix:"):
            raise RuntimeError(
                "llama.cpp opened a network port although it was told to use a unix socket"
            )

    def close(self) -> None:
        self._server = None

    def complete(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        *,
        max_tokens: int,
        grammar: str | None,
        on_token: Callable[[Token], bool],
        cancelled: Callable[[], bool],
    ) -> str:
        """Writes until the model ends (`stop`), max_tokens (`length`), on_token says False (`stop`) or `cancelled`.

        `max_tokens` and `grammar` hold in the place of the sampling's own limit, stops and schema. The penalties are
        llama.cpp's: both look at the prompt as well.

        Waits for a free slot first.  Errors of llama.cpp are RuntimeErrors; their text stays in the server's log.
        """
        temperature, seed = sampling.temperature, sampling.seed
        with self._slot(len(prompt) + max_tokens, cancelled) as granted:
            if not granted:
                return "cancelled"
            return self._complete(
                {
                    "prompt": list(prompt),
                    "stream": True,
                    "return_progress": True,
                    # A prompt half remembered is read in other batches, and its last digits differ (llama.cpp's
                    # server says so): enough to draw another word. Who gives a seed asks for the same one.
                    "cache_prompt": seed is None or temperature == 0,
                    "n_probs": 1,
                    "max_tokens": max_tokens,
                    "temperature": temperature,
                    "top_p": sampling.top_p,
                    "top_k": sampling.top_k if temperature > 0 else 1,
                    "min_p": sampling.min_p,
                    **self._penalties(sampling),
                    **({} if seed is None else {"seed": seed & 0xFFFFFFFF}),
                    **({} if grammar is None else {"grammar": grammar}),
                },
                on_token,
                cancelled,
            )

    def _complete(
        self,
        body: dict[str, Any],
        on_token: Callable[[Token], bool],
        cancelled: Callable[[], bool],
    ) -> str:
        reason = "stop"
        failure: BaseException | None = None

        def on_event(event: dict[str, Any]) -> bool:
            # True ends the completion inside llama.cpp.  Exceptions would be swallowed by the binding.
            nonlocal reason, failure
            self._meter.add("kefu_vlm_progress_total")
            try:
                if "error" in event or "choices" not in event:
                    raise RuntimeError(f"llama.cpp: {str(event)[:400]}")
                if cancelled():
                    reason = "cancelled"
                    return True
                choice = event["choices"][0]
                for token in _tokens(choice):
                    if not on_token(token):
                        return True
                if choice.get("finish_reason") == "length":
                    reason = "length"
            except BaseException as error:
                failure = error
                return True
            return False

        self._server.handle_completions(body, on_event)
        if failure is not None:
            raise failure
        return reason

    def _penalties(self, sampling: Sampling) -> dict[str, float]:
        if sampling.repetition_penalty == 1.0 and sampling.presence_penalty == 0.0:
            return {}
        return {
            "repeat_penalty": sampling.repetition_penalty,
            "presence_penalty": sampling.presence_penalty,
            # All of it: the library's own default is the last 64 tokens.
            "repeat_last_n": self._settings.context_tokens,
        }

    @contextlib.contextmanager
    def _slot(self, tokens: int, cancelled: Callable[[], bool]) -> Iterator[bool]:
        """A slot and room in the shared cache; False when the job was cancelled while it waited."""
        gone = cancelled()
        with self._free:
            while not self._fits(tokens) and not (gone := cancelled()):
                self._free.wait(_POLL_SECONDS)
            granted = self._fits(tokens) and not gone
            if granted:
                self._busy += 1
                self._used_tokens += tokens
            self._meter.set("kefu_vlm_busy_slots", self._busy)
        if not granted:
            yield False
            return
        try:
            yield True
        finally:
            with self._free:
                self._busy -= 1
                self._used_tokens -= tokens
                self._meter.set("kefu_vlm_busy_slots", self._busy)
                self._free.notify_all()

    def _fits(self, tokens: int) -> bool:
        used = self._used_tokens + tokens
        return self._busy < self._settings.slots and used <= self._settings.pool_tokens


def _tokens(choice: dict[str, Any]) -> Iterator[Token]:
    for entry in (choice.get("logprobs") or {}).get("content") or ():
        yield Token(int(entry["id"]), float(entry["logprob"]), bytes(entry["bytes"]))
