"""A gateway that counts nothing: what `bench overhead` compares the real one with.

The metrics are made and can be asked for, so the code around them is the same; observing does nothing.
"""

from __future__ import annotations

import sys
from typing import Any

from kefu_common.metrics import Counter, Gauge, Histogram
from kefu_gateway.__main__ import main


def _nothing(self: Any, *values: Any, **named: Any) -> None: ...


def _self(self: Any, *values: Any, **named: Any) -> Any:
    return self


def quiet() -> None:
    """From now on metrics of this process stay as they are."""
    for kind, names in (
        (Counter, ["inc"]),
        (Gauge, ["inc", "dec", "set"]),
        (Histogram, ["observe"]),
    ):
        for name in names:
            setattr(kind, name, _nothing)
        kind.labels = _self  # type: ignore[method-assign]


if __name__ == "__main__":
    quiet()
    sys.exit(main())
