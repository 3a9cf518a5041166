"""Python runs this first in every process that vLLM starts.

They end with the process that started them: vLLM's core would outlive one that was killed, and keep its memory.  And
they are told what torch and torchvision of a CPU lack (`cuda_questions.py`, `torchvision_ops.py`).
"""

import os
import sys
import threading
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

_LOOK_SECONDS = 1.0


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(71)


def _beside(name: str) -> ModuleType:
    """A module of the folder above, which no path of this process names."""
    file = Path(__file__).resolve().parents[1] / f"{name}.py"
    spec = spec_from_file_location(f"kefu_{name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # Kept: what torchvision's operators hang on is one of its variables.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


threading.Thread(target=_end_with, args=(os.getppid(),), name="parent", daemon=True).start()
sys.meta_path.insert(0, _beside("cuda_questions").AnswerFirst())
if os.environ.get("KEFU_TORCHVISION_OPS"):
    sys.meta_path.insert(0, _beside("torchvision_ops").DeclareFirst())
