"""When a model that could not be loaded is tried again: after a pause that doubles, up to a longest one.

    retry = Retry(RetryRules(longest=300, attempts=0))
    retry.failed(now)         # due in 5 s, then in 10, 20, … 300
    retry.due                 # the time, by the same clock; None when it is not tried any more
    retry.served(now - began) # a long life forgives, a short one does not

A load takes what the machine has (disk, cores, memory of the GPU) from the models beside it, so the first pause is
seconds and not milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_PAUSE = 5.0
# A model that served so long has recovered: its next failure starts with a short pause again.
HEALTHY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class RetryRules:
    """`longest`: most seconds between two attempts. `attempts`: how many in a row; 0 for as many as it takes."""

    longest: float
    attempts: int


class Retry:
    """One model's failures in a row."""

    def __init__(self, rules: RetryRules) -> None:
        self._rules = rules
        self.failures = 0
        self.due: float | None = 0.0

    def failed(self, now: float, *, longest: bool = False) -> None:
        """`longest`: what failed took others with it, so the longest pause comes at once."""
        self.failures += 1
        if self._rules.attempts and self.failures >= self._rules.attempts:
            self.due = None
            return
        pause = min(FIRST_PAUSE * 2 ** (self.failures - 1), self._rules.longest)
        self.due = now + (self._rules.longest if longest else pause)

    def served(self, seconds: float, now: float) -> None:
        """It was ready for so long and is lost: tried at once, or after a pause if that was short again and again."""
        if seconds >= HEALTHY_SECONDS:
            self.failures = 0
        if self.failures:
            self.failed(now)
            # It can be loaded, so it is not given up.
            self.due = now + self._rules.longest if self.due is None else self.due
        else:
            # The next loss within the time above will wait.
            self.failures = 1
            self.due = now

    def at_once(self) -> None:
        """Everything is new (another server): now, whatever failed before."""
        self.due = 0.0
