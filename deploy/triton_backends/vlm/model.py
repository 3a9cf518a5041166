"""Triton's side of every VLM: tensors in, a stream of responses out.  The engines do the work.

A Python-based backend: each model directory holds only `config.pbtxt` and `1/model.json` (the card, which names the
engine).  The tensor contract stands in `contract.py`.
"""

from __future__ import annotations

import locale

# Before anything reads or writes text: the stub starts in the "C" locale, in which Chinese text breaks.
locale.setlocale(locale.LC_ALL, "C.UTF-8")

import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
import traceback  # noqa: E402
from concurrent.futures import ThreadPoolExecutor  # noqa: E402
from dataclasses import replace  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import triton_python_backend_utils as pb_utils  # noqa: E402  (given by Triton)

sys.path.insert(0, str(Path(__file__).resolve().parent))

from callers import Caller, Callers, to_cancel  # noqa: E402
from contract import read_job  # noqa: E402
from engines.base import Batch, Card, Chunk, ContractError, EngineContext, Job  # noqa: E402
from engines.registry import create_engine  # noqa: E402
from environment import enter  # noqa: E402
from metrics import TritonMeter  # noqa: E402
from responses import Responses  # noqa: E402

_FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
_DRAIN_SECONDS = 5.0
# How often a request asks Triton whether its caller left: each question crosses a process border, there and back.
_ASK_SECONDS = 0.02


class TritonPythonModel:
    """One model instance.  `execute` hands each request to a thread and returns, so that the next batch can form."""

    def initialize(self, args: dict[str, str]) -> None:
        self._log = pb_utils.Logger
        model_dir = Path(args["model_repository"])
        card_path = model_dir / args["model_version"] / "model.json"
        card = Card.from_json(json.loads(card_path.read_text(encoding="utf-8")))
        weights = Path(os.environ.get("KEFU_WEIGHTS_DIR", ".kefu/weights")) / card.name
        envs = Path(os.environ.get("KEFU_ENGINE_ENVS", ".kefu/envs"))
        if (home := enter(envs, card.settings.get("environment", card.engine))) is not None:
            self._log.log_info(f"{card.name}: the packages of {home}")
        self._card = card
        self._meter = TritonMeter(pb_utils, args["model_name"])
        self._engine = create_engine(
            EngineContext(
                card=card,
                weights=weights,
                model_dir=model_dir,
                meter=self._meter,
                device_id=_gpu(args),
            )
        )
        self._engine.start()
        self._closing = threading.Event()
        self._responses = Responses(pb_utils)
        self._callers = Callers()
        self._active = 0
        self._changed = threading.Condition()
        # Waiting costs a thread, not a core: the engine itself bounds how many work at once.
        self._threads = ThreadPoolExecutor(
            max_workers=int(card.settings.get("threads", 64)), thread_name_prefix="vlm"
        )

    def execute(self, requests: list[Any]) -> None:
        jobs: list[tuple[Job, Any, Caller]] = []
        cancelling = 0
        for request in requests:
            sender = request.get_response_sender()
            try:
                if (left := to_cancel(request, pb_utils)) is not None:
                    cancelling += 1
                    self._cancel(left, sender)
                    continue
                job = read_job(request, self._card, pb_utils)
                # Before any thread has it: the message that cancels it can stand in the same batch.
                jobs.append((job, sender, self._callers.enter(request.request_id())))
            except ContractError as error:
                self._meter.add("kefu_vlm_refused_total")
                _refuse(sender, error)
            except Exception as error:  # a request must never be left without its FINAL
                self._fail(sender, error)
        if cancelling < len(requests):
            self._meter.add("kefu_vlm_batches_total")
        batch = Batch(len(jobs))
        for job, sender, caller in jobs:
            self._count(+1)
            try:
                self._threads.submit(self._serve, replace(job, batch=batch), sender, caller)
            except RuntimeError:
                self._callers.leave(caller)
                self._count(-1)
                _refuse(sender, ContractError("shutting_down", "the model is being unloaded"))
        return None

    def finalize(self) -> None:
        self._closing.set()
        self._meter.close()
        with self._changed:
            self._changed.wait_for(lambda: self._active == 0, timeout=_DRAIN_SECONDS)
        self._engine.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _cancel(self, request_id: str, sender: Any) -> None:
        """Answered here and now: neither a thread nor a place of the engine is taken for it."""
        if self._callers.stop(request_id):
            sender.send(flags=_FINAL)
        else:
            # Over by now, or in work in another instance of the model; the caller knows which.
            _refuse(sender, ContractError("unknown_request", "no such request is in work here"))

    def _serve(self, job: Job, sender: Any, caller: Caller) -> None:
        gone, asked = False, 0.0

        def cancelled() -> bool:
            nonlocal gone, asked
            now = time.monotonic()
            if now - asked >= _ASK_SECONDS:
                gone, asked = sender.is_cancelled(), now
            return gone or caller.left or self._closing.is_set()

        finished = False

        def emit(chunk: Chunk) -> None:
            nonlocal finished
            finished = bool(chunk.finish_reason)
            self._note(chunk)
            # The last chunk carries FINAL itself: one message less on the way to the caller.
            sender.send(self._responses.of(chunk), flags=_FINAL if finished else 0)

        try:
            self._meter.add("kefu_vlm_requests_total")
            self._engine.generate(job, emit, cancelled)
        except ContractError as error:
            self._meter.add("kefu_vlm_refused_total")
            finished = finished or _refuse(sender, error)
        except Exception as error:  # the boundary to Triton: whatever broke, the caller gets an end
            if not finished:
                finished = self._fail(sender, error)
        finally:
            job.ready()
            if not finished:
                sender.send(flags=_FINAL)
            # After the FINAL: whoever reads "unknown request" has read the end of it before.
            self._callers.leave(caller)
            self._count(-1)

    def _note(self, chunk: Chunk) -> None:
        if chunk.finish_reason == "cancelled":
            self._meter.add("kefu_vlm_cancelled_total")
        if chunk.usage is not None:
            self._meter.add("kefu_vlm_completion_tokens_total", chunk.usage.completion)

    def _fail(self, sender: Any, error: Exception) -> bool:
        """Logs what broke, and where; the caller learns only that something did. Not the error's own words: they may
        quote the customer's."""
        self._meter.add("kefu_vlm_failed_total")
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} at {frame.filename}:{frame.lineno}"
        self._log.log_error(f"engine {self._card.engine} failed: {where}")
        return _refuse(
            sender, ContractError("engine_failed", "the engine could not finish this request")
        )

    def _count(self, step: int) -> None:
        with self._changed:
            self._active += step
            active = self._active
            self._changed.notify_all()
        self._meter.set("kefu_vlm_active_requests", active)


def _gpu(args: dict[str, str]) -> int | None:
    if args.get("model_instance_kind") != "GPU":
        return None
    return int(args["model_instance_device_id"])


def _refuse(sender: Any, error: ContractError) -> bool:
    sender.send(pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error))), flags=_FINAL)
    return True
