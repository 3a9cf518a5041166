"""The backend's modules are found as in Triton: relative to the folder of model.py."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "deploy/triton_backends/vlm"))
