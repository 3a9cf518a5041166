"""The part of a model's card that the model host needs: weights, tokenizer, placeholder, memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kefu_modelhost.errors import SetupError

# What a hub calls a commit; a branch or a tag can move, so it is no pin.
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One file of a model: its name in the weights folder, SHA-256 (hex), size in bytes, where to get it."""

    name: str
    sha256: str
    size: int
    sources: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HubWeights:
    """A whole repository of the model hub: which, at which commit, which of its files, and what must be in them.

    `revision` is a commit, or empty: then the operator has to name one.  `remote_code`: the model's own Python files
    are part of the weights and will be run.  `gated`: the hub asks for an accepted licence and a token.
    """

    repo: str
    revision: str
    architectures: tuple[str, ...]
    model_type: str
    include: tuple[str, ...]
    remote_code: bool
    gated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryNeeds:
    """What the memory of a GPU is spent on; `memory.py` adds it up.

    `quantised_parameters`: the language model's linear layers, which fp8 and int4 make smaller; all else stays bf16.
    """

    parameters: int
    quantised_parameters: int
    kv_bytes_per_token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """`folder` is the model's directory in its repository (with config.pbtxt).  `hub` or `files`, not both.

    `shown_as`: what the chat template writes for a picture, the placeholder and the marks around it.

    `environment`: the virtual environment that the engine needs beside Triton's, a name in `requirements/`; often none.

    `load_seconds`: how long its load may take; 0: as long as any other's (KEFU_TRITON_START_TIMEOUT).
    """

    name: str
    folder: Path
    engine: str
    engines: tuple[str, ...]
    licence: str
    files: tuple[WeightsFile, ...]
    hub: HubWeights | None
    tokenizer: str
    tokenizer_source: Mapping[str, Any]
    context_tokens: int
    max_pictures: int
    placeholder: str
    placeholder_id: int
    shown_as: str
    memory: MemoryNeeds | None
    load_seconds: float
    raw: Mapping[str, Any]


def find_card(name: str, repositories: Iterable[Path]) -> ModelCard:
    """The card of a model; SetupError where no repository has it, or it cannot be read."""
    tried = []
    for repository in repositories:
        path = repository / name / "1" / "model.json"
        tried.append(str(path))
        if path.is_file():
            card = read_card(path)
            if card.name != name:
                raise SetupError(f"{path} calls itself {card.name!r}, its folder {name!r}")
            return card
    raise SetupError(f"no model {name!r}: looked for {', '.join(tried)} (KEFU_MODEL_REPOSITORY)")


def all_cards(repositories: Iterable[Path]) -> list[ModelCard]:
    """Every card of the repositories, by name; the first of a name counts."""
    found: dict[str, ModelCard] = {}
    for repository in repositories:
        for path in sorted(repository.glob("*/1/model.json")):
            found.setdefault(path.parent.parent.name, read_card(path))
    return [found[name] for name in sorted(found)]


def read_card(path: Path) -> ModelCard:
    """SetupError naming the file and what is wrong with it."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        weights = raw.get("weights", {})
        picture = raw.get("picture", {})
        files = tuple(
            WeightsFile(f["name"], f["sha256"], int(f["size"]), tuple(f["sources"]))
            for f in weights.get("files", [])
        )
        memory = raw.get("memory")
        return ModelCard(
            name=raw["name"],
            folder=path.parent.parent,
            engine=raw.get("engine", ""),
            engines=tuple(raw.get("engines", [raw.get("engine", "")])),
            licence=raw.get("licence", ""),
            files=files,
            hub=_hub(weights) if weights.get("kind") == "hub" else None,
            tokenizer=raw["tokenizer"],
            tokenizer_source=raw["tokenizer_source"],
            context_tokens=int(raw.get("context_tokens", 0)),
            max_pictures=int(raw.get("max_pictures", 0)),
            placeholder=str(picture.get("placeholder", "")),
            placeholder_id=int(picture.get("placeholder_id", -1)),
            shown_as=str(picture.get("shown_as") or picture.get("placeholder", "")),
            memory=_memory(memory) if memory else None,
            load_seconds=_positive(raw, "load_seconds"),
            raw=raw,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SetupError(f"{path} is no model card: {type(error).__name__}: {error}") from error


def _positive(raw: Mapping[str, Any], name: str) -> float:
    """0 where the card does not say."""
    value = float(raw.get(name, 0))
    if name in raw and not 0 < value < float("inf"):
        raise ValueError(f"{name} must be a number of seconds above 0")
    return value


def _memory(raw: Mapping[str, Any]) -> MemoryNeeds:
    return MemoryNeeds(
        parameters=int(raw["parameters"]),
        quantised_parameters=int(raw["quantised_parameters"]),
        kv_bytes_per_token=int(raw["kv_bytes_per_token"]),
    )


def _hub(raw: Mapping[str, Any]) -> HubWeights:
    revision = str(raw.get("revision", ""))
    if revision and not _COMMIT.fullmatch(revision):
        raise ValueError(
            f"weights.revision {revision!r} is no commit (40 hexadecimal digits): a branch can move"
        )
    return HubWeights(
        repo=raw["repo"],
        revision=revision,
        architectures=tuple(raw["architectures"]),
        model_type=raw["model_type"],
        include=tuple(raw["include"]),
        remote_code=bool(raw["remote_code"]),
        gated=bool(raw["gated"]),
    )
