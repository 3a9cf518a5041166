"""The part of a model's card that the model host needs: weights, tokenizer, placeholder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kefu_modelhost.errors import SetupError


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One file of a model: its name in the weights folder, SHA-256 (hex), size in bytes, where to get it."""

    name: str
    sha256: str
    size: int
    sources: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class ModelCard:
    """`folder` is the model's directory in its repository (with config.pbtxt)."""

    name: str
    folder: Path
    files: tuple[WeightsFile, ...]
    tokenizer: str
    tokenizer_source: Mapping[str, Any]
    max_pictures: int
    placeholder_id: int


def find_card(name: str, repositories: Iterable[Path]) -> ModelCard:
    """The card of a model; SetupError where no repository has it, or it cannot be read."""
    tried = []
    for repository in repositories:
        path = repository / name / "1" / "model.json"
        tried.append(str(path))
        if path.is_file():
            return _read(path)
    raise SetupError(f"no model {name!r}: looked for {', '.join(tried)} (KEFU_MODEL_REPOSITORY)")


def _read(path: Path) -> ModelCard:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        files = tuple(
            WeightsFile(f["name"], f["sha256"], int(f["size"]), tuple(f["sources"]))
            for f in raw.get("weights", {}).get("files", [])
        )
        return ModelCard(
            name=raw["name"],
            folder=path.parent.parent,
            files=files,
            tokenizer=raw["tokenizer"],
            tokenizer_source=raw["tokenizer_source"],
            max_pictures=int(raw.get("max_pictures", 0)),
            placeholder_id=int(raw.get("picture", {}).get("placeholder_id", -1)),
        )
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise SetupError(f"{path} is no model card: {type(error).__name__}: {error}") from error
