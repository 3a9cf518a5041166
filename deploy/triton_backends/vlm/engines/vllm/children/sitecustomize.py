"""Python runs this first in every process that vLLM starts.

They end with the process that started them: vLLM's core would outlive one that was killed, and keep its memory.  And
they declare what torchvision misses, where that is needed (`torchvision_ops.py`).
"""

import os
import sys
import threading
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_LOOK_SECONDS = 1.0


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(71)


threading.Thread(target=_end_with, args=(os.getppid(),), name="parent", daemon=True).start()

if os.environ.get("KEFU_TORCHVISION_OPS"):
    _spec = spec_from_file_location(
        "kefu_torchvision_ops", Path(__file__).resolve().parents[1] / "torchvision_ops.py"
    )
    assert _spec is not None
    assert _spec.loader is not None
    _module = module_from_spec(_spec)
    _spec.loader.exec_module(_module)
    sys.meta_path.insert(0, _module.DeclareFirst())
