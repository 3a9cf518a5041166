"""What is known of a hosted model now."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelNow:
    """`state`: "ready", "loading" or "unavailable", for `seconds`; `advice`: what an operator can change, or empty."""

    state: str
    seconds: float = 0.0
    advice: str = ""
