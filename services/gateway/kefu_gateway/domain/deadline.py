"""A deadline is a value: a point in time that every upstream gets a slice of.

deadline = Deadline.after(30.0)
await host.infer(..., timeout=deadline.slice(share=0.9, floor=0.5, stage="infer"))
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from kefu_common.errors import KefuError, Reason


@dataclass(frozen=True, slots=True)
class Deadline:
    """`at`: seconds on the monotonic clock."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds)

    def remaining(self) -> float:
        """Seconds left; never negative."""
        return max(0.0, self.at - time.monotonic())

    def check(self, stage: str) -> float:
        """Seconds left, above 0; raises DEADLINE_EXCEEDED naming the stage when there is nothing left."""
        left = self.remaining()
        if left <= 0:
            raise KefuError(
                Reason.DEADLINE_EXCEEDED,
                f"the deadline passed in the stage {stage!r}",
                stage=stage,
            )
        return left

    def slice(self, share: float, *, floor: float, stage: str) -> float:
        """A share of what is left, in seconds: at least `floor`, but never more than all of it."""
        left = self.check(stage)
        return min(left, max(floor, left * share))
