"""The inside of the engine `transformers`, in the environment that it runs in.

The `check_*.py` of the folder `transformers` are tests like any other, but they import torch, which this environment
does not have. They are run here, by the engine's own Python with this environment's pytest behind its packages:

    .venv/bin/python -m tests.unit.backend.transformers.run -k sampler
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.checkpoints.architectures import ARCHITECTURES
from tests.checkpoints.models import ROOT, ensure, model_directories, require_engine


@pytest.mark.timeout(600)
def test_in_the_environment_of_the_engine(tmp_path_factory: pytest.TempPathFactory) -> None:
    require_engine("transformers")
    for name in ARCHITECTURES:
        ensure(name)
    models = model_directories(tmp_path_factory.mktemp("models"), "transformers")
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.backend.transformers.run", "--models", str(models)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout[-3000:])
    assert done.returncode == 0, f"{done.stdout[-12000:]}\n{done.stderr[-2000:]}"
