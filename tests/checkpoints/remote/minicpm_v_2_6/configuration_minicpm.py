"""A stand-in for the configuration that MiniCPM-V 2.6 brings along: Qwen2's keys at the top, a SigLIP below them.

Ours, not openbmb's: what vLLM's `models/minicpmv.py` reads of it.
"""

from __future__ import annotations

from typing import Any

from transformers import Qwen2Config, SiglipVisionConfig


class MiniCPMVConfig(Qwen2Config):
    model_type = "minicpmv"

    def __init__(self, vision_config: dict[str, Any] | None = None, **keys: Any) -> None:
        self.vision_config = SiglipVisionConfig(**(vision_config or {}))
        self.patch_size = self.vision_config.patch_size
        super().__init__(**keys)
