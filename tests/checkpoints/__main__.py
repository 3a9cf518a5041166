"""Builds every tiny checkpoint and says where it is."""

from __future__ import annotations

from tests.checkpoints.architectures import ARCHITECTURES
from tests.checkpoints.models import ensure

if __name__ == "__main__":
    for name in ARCHITECTURES:
        print(ensure(name))
