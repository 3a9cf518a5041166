"""Starts vLLM: this process made ready for it, the card's settings checked, failures put into an operator's words."""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from engines.base import Card
from engines.vllm.memory import explain
from engines.vllm.printed import Printed
from engines.vllm.settings import engine_arguments
from engines.vllm.stats import Stats, stat_logger
from engines.vllm.torchvision_ops import declare_if_missing

# Its `sitecustomize.py` is the first that vLLM's own processes run.
_CHILDREN = Path(__file__).resolve().with_name("children")


class StartError(Exception):
    """vLLM did not start; the text says what to change."""


def prepare_process() -> None:
    """Before vllm is imported. What an operator has set in the environment wins."""
    for name, value in {
        # The weights are a folder: nothing is to be fetched, and nobody to be told.
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_DO_NOT_TRACK": "1",
        # A copy of a process that has Triton's threads would hang.
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        # The cores are not the engine's alone.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "TOKENIZERS_PARALLELISM": "false",
        # Its processes change their titles, which would wipe out the environment by which the model host knows its own.
        "SPT_NOENV": "1",
    }.items():
        os.environ.setdefault(name, value)
    # The interpreter of this environment: in Triton's stub `sys.executable` was no Python when this was looked up.
    multiprocessing.set_executable(sys.executable)
    # Triton's stub is an isolated interpreter, and its children would be as well: they would see no PYTHONPATH.
    multiprocessing.util._args_from_interpreter_flags = list  # type: ignore[attr-defined]
    declare_if_missing()
    inherited = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    if str(_CHILDREN) not in inherited:
        os.environ["PYTHONPATH"] = os.pathsep.join([str(_CHILDREN), *inherited])


def start_vllm(card: Card, weights: Path, stats: Stats) -> Any:
    """A running AsyncLLM, in the event loop that calls; StartError."""
    from vllm import AsyncEngineArgs
    from vllm.platforms import current_platform
    from vllm.v1.engine.async_llm import AsyncLLM

    known = {field.name for field in fields(AsyncEngineArgs)}
    try:
        arguments = engine_arguments(card, weights, known=known, cpu=current_platform.is_cpu())
    except ValueError as error:
        raise StartError(str(error)) from error
    if current_platform.is_cpu() and os.environ.get("VLLM_CPU_OMP_THREADS_BIND") == "nobind":
        # The model in the core's own process, as on one GPU. Without it vLLM starts one more on a CPU, only to bind its
        # threads, and each of the two spins on a core of its own while it waits for the other.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    if arguments.get("enforce_eager") and current_platform.is_cpu():
        # vLLM compiles a sampler's function all the same: 10 s at the first request, and only where a C++ compiler is.
        os.environ.setdefault("TORCH_COMPILE_DISABLE", "1")
    printed = Printed()
    try:
        with printed:
            return AsyncLLM.from_engine_args(
                AsyncEngineArgs(**arguments), stat_loggers=[stat_logger(stats)]
            )
    except Exception as error:  # vLLM raises nearly anything here, from every library under it
        words = f"{type(error).__name__}: {error}"
        raise StartError(
            f"{card.name} does not start: {explain(printed.tail() + words, words)}"
        ) from error
