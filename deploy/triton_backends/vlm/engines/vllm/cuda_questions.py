"""Answers a question about CUDA that vLLM asks on a CPU as well.

The resampler of MiniCPM-V (vLLM 0.32, `models/minicpmv.py`) asks torch whether a CUDA graph is being captured. A build
of torch without CUDA raises there, and the engine dies at the first picture. Nothing is captured on a CPU. This can go
once vLLM asks only where there is a GPU.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

_ASKS = "vllm.model_executor.models.minicpmv"


def answer() -> None:
    import torch

    if torch.version.cuda is None and torch.version.hip is None:
        torch.cuda.is_current_stream_capturing = lambda: False


class AnswerFirst(MetaPathFinder):
    """Does so when the model that asks is about to be imported: other processes need not load torch."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name == _ASKS:
            sys.meta_path.remove(self)
            answer()
        return None
