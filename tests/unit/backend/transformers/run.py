"""Runs the checks of this folder with the engine's own Python; arguments go to pytest.

The engine's environment has no pytest. This one's packages are put behind its own, where they shadow nothing: both are
made with the same Python.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.checkpoints.models import ENGINES, ROOT, model_directories

_BOOT = """
import sys
sys.path.append(sys.argv.pop(1))
sys.path.insert(0, sys.argv.pop(1))
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


def main(arguments: list[str]) -> int:
    if "--models" in arguments:
        where = arguments.index("--models")
        models = Path(arguments[where + 1])
        del arguments[where : where + 2]
    else:
        models = model_directories(Path(tempfile.mkdtemp()), "transformers")
    packages = next(p for p in sys.path if p.endswith("site-packages"))
    command = [str(ENGINES / "transformers/bin/python"), "-c", _BOOT]
    command += [packages, str(ROOT / "deploy/triton_backends/vlm")]
    command += ["-q", "-p", "no:cacheprovider", "-o", "python_files=check_*.py", "-o", "addopts="]
    command += ["--import-mode=importlib", str(Path(__file__).parent), *arguments]
    environment = {**os.environ, "KEFU_TINY_MODELS": str(models), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
