"""What a card's `engine_settings` may say to the engine `transformers`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformersSettings:
    """Defaults fit one GPU, or a CPU where there is none.

    device:         cuda, cuda:1, cpu; auto takes the GPU that Triton gave this instance, the first one, or the CPU
    dtype:          bfloat16, float16, float32; auto is bfloat16 on a GPU and float32 on a CPU
    attention:      sdpa, eager, flash_attention_2 (needs the package flash-attn); auto takes that where it is
    max_rows:       most requests answered in one step; others wait
    kv_tokens:      most tokens, prompts and answers together, whose keys and values are held at once; 0 on a GPU takes
                    `memory` of what the weights leave free, and 65,536 on a CPU
    memory:         share of the GPU's memory that weights, keys and values may take, 0 to 1
    prefill_tokens: most tokens of prompts, padding included, read in one step
    gather_ms:      how long a request waits for those that Triton handed over with it, until their pictures are ready
    picture_pixels: larger pictures are refused
    picture_threads: pictures prepared at once; 0 is one a core
    cpu_threads:    of one step on a CPU; 0 is one a core
    heatmap_side:   px of the longer side of an attention map
    """

    device: str = "auto"
    dtype: str = "auto"
    attention: str = "auto"
    max_rows: int = 32
    kv_tokens: int = 0
    memory: float = 0.9
    prefill_tokens: int = 16384
    gather_ms: int = 100
    picture_pixels: int = 16_000_000
    picture_threads: int = 0
    cpu_threads: int = 0
    heatmap_side: int = 768

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> TransformersSettings:
        """The card's values over the defaults; other names are other engines'.  ValueError names the wrong one."""
        values: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            if field.name not in raw:
                continue
            default, value = field.default, raw[field.name]
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if isinstance(default, str) != isinstance(value, str) or (
                not isinstance(default, str) and (not number or value < 0)
            ):
                raise ValueError(f"engine_settings.{field.name} cannot be {value!r}")
            kind: Any = type(default)
            values[field.name] = kind(value)
        made = cls(**values)
        if made.dtype not in ("auto", "bfloat16", "float16", "float32"):
            raise ValueError(f"engine_settings.dtype cannot be {made.dtype!r}")
        if made.max_rows < 1 or made.prefill_tokens < 1 or not 0 < made.memory <= 1:
            raise ValueError(
                "engine_settings: max_rows, prefill_tokens and memory must be positive"
            )
        return made

    @property
    def cores(self) -> int:
        return len(os.sched_getaffinity(0))
