"""Whether a checkpoint's own Python files may run: if the card pins them, and these are the ones.

allowed = remote_code(card, weights)     # NotPinned says what to change
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engines.base import Card

_COMMIT = re.compile(r"[0-9a-f]{40}")
_MANIFEST = "kefu-weights.json"  # what the model host writes beside weights that it fetched


class NotPinned(ValueError):
    """The card does not allow this code, or nothing says that it is the code that the card means."""


def remote_code(card: Card, weights: Path) -> bool:
    """False where the card allows none and the checkpoint asks for none."""
    pinned: Mapping[str, Any] = card.raw.get("weights") or {}
    if not pinned.get("remote_code"):
        if "auto_map" in _object(weights / "config.json"):
            raise NotPinned(
                f"{weights} brings Python code of its own (auto_map in config.json), and the card of {card.name} does"
                " not allow it: set weights.remote_code and pin weights.revision to a commit that you have read"
            )
        return False
    revision = str(pinned.get("revision", ""))
    if not _COMMIT.fullmatch(revision):
        raise NotPinned(
            f"the card of {card.name} allows remote code, but its weights.revision {revision!r} is no commit (40 hex"
            " digits): what a branch or a tag names can change"
        )
    manifest = weights / _MANIFEST
    if _object(manifest).get("revision") != revision:
        raise NotPinned(
            f"{manifest} does not say that this is commit {revision} of {card.name}: its code is not run."
            f" `python -m kefu_modelhost pull {card.name}` fetches and checks it"
        )
    return True


def _object(path: Path) -> Mapping[str, Any]:
    """Empty where the file is not there."""
    if not path.is_file():
        return {}
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
