"""Declares the two torchvision operators that are missing where its library does not load.

torchvision is on PyPI in one build, linked against CUDA. With a CPU build of torch its library cannot be loaded, and
`import torchvision` fails, because it describes two operators that nobody declared. vLLM needs torchvision for its
picture functions alone, which are pure Python. This can go once PyPI has a CPU build.
"""

from __future__ import annotations

import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Tells the processes that vLLM starts to do the same (`children/sitecustomize.py`).
VARIABLE = "KEFU_TORCHVISION_OPS"
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_kept: list[Any] = []


def declare_if_missing() -> bool:
    """Before anything imports torchvision; True where it was needed (then children need it, too)."""
    spec = find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return False
    import torch

    try:
        for folder in spec.submodule_search_locations:
            for library in Path(folder).glob("_C*.so"):
                torch.ops.load_library(library)
        return False
    except OSError:
        declare()
    os.environ[VARIABLE] = "1"
    return True


def declare() -> None:
    """An operator of this name without a body: calling it would fail, describing it does not."""
    import torch

    if _kept:
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(name + _SCHEMA)
    # Its end would be the operators' end.
    _kept.append(library)


class DeclareFirst(MetaPathFinder):
    """Declares them when torchvision is about to be imported, so that a child without torch does not load it."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name == "torchvision":
            sys.meta_path.remove(self)
            declare()
        return None
