"""Python runs this first in every process that vLLM starts (`torchvision_ops.py` says when and why)."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_spec = spec_from_file_location(
    "kefu_torchvision_ops", Path(__file__).resolve().parents[1] / "torchvision_ops.py"
)
assert _spec is not None
assert _spec.loader is not None
_module = module_from_spec(_spec)
_spec.loader.exec_module(_module)
sys.meta_path.insert(0, _module.DeclareFirst())
