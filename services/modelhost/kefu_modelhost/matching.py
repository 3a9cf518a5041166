"""Whether weights, card and engine belong together, told from the files alone: no framework, no network, seconds.

    require_match(card, folder)

What is looked at: the architecture that config.json names, the id of the card's placeholder in the tokenizer, every
shard of the index, each shard's own length (a safetensors file says how long it must be), and remote code that would
come from elsewhere.  Bytes are the manifest's business (`manifest.py`).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from kefu_modelhost import manifest
from kefu_modelhost.card import HubWeights, ModelCard
from kefu_modelhost.errors import SetupError, WeightsError

# A header of a real checkpoint has some hundred kilobytes; a damaged one must not make us allocate at will.
_LONGEST_HEADER = 100 << 20


def require_match(card: ModelCard, folder: Path) -> None:
    """SetupError that names everything that does not fit, and what to do."""
    problems = list(mismatches(card, folder))
    if problems:
        raise WeightsError(
            f"{card.name}: the weights in {folder} cannot be served:\n  - "
            + "\n  - ".join(problems)
            + f"\n`kefu-models pull {card.name}` fetches what the card names"
        )


def mismatches(card: ModelCard, folder: Path) -> Iterator[str]:
    """A sentence for each thing that does not fit."""
    if card.engine not in card.engines:
        yield (
            f"the card names the engine {card.engine!r}, which does not load these weights:"
            f" {', '.join(card.engines)} do"
        )
    if card.hub is None:
        return
    if not folder.is_dir():
        yield f"{folder} is not there (KEFU_WEIGHTS_DIR)"
        return
    yield from _recorded(card, folder)
    yield from _configuration(card.hub, folder)
    yield from _placeholder(card, folder)
    yield from _shards(folder)


def _recorded(card: ModelCard, folder: Path) -> Iterator[str]:
    try:
        found = manifest.read(folder)
    except SetupError as error:
        yield str(error)
        return
    if found is None:
        return
    assert card.hub is not None
    if found.repo != card.hub.repo:
        yield f"{folder} holds {found.repo}, the card names {card.hub.repo}"
    yield from manifest.differences(found, folder, hashes=False)


def _configuration(hub: HubWeights, folder: Path) -> Iterator[str]:
    raw, problem = _json(folder / "config.json")
    if problem:
        yield problem
        return
    architectures = raw.get("architectures") or []
    if tuple(architectures) != hub.architectures:
        yield (
            f"config.json is of {', '.join(map(str, architectures)) or 'no architecture'},"
            f" the card of {', '.join(hub.architectures)}"
        )
    if raw.get("model_type") != hub.model_type:
        yield f"config.json has the model type {raw.get('model_type')!r}, the card {hub.model_type!r}"
    named: dict[str, Any] = {}
    for name in ("config.json", "preprocessor_config.json", "processor_config.json"):
        found, missing = _json(folder / name)
        named |= {} if missing else found.get("auto_map") or {}
    for where in named.values():
        for one in where if isinstance(where, list) else [where]:
            yield from _code(str(one or ""), hub, folder)


def _code(where: str, hub: HubWeights, folder: Path) -> Iterator[str]:
    """`module.Class` of this folder; `repo--module.Class` would be fetched from the hub, at no pinned commit."""
    if not where or not hub.remote_code:
        return
    if "--" in where and where.partition("--")[0] != hub.repo:
        yield f"its configuration runs code of another repository ({where}), which nothing pins"
        return
    module = where.rpartition("--")[2].rpartition(".")[0]
    if module and not (folder / f"{module}.py").is_file():
        yield f"{folder / module}.py is missing, and its configuration names it"


def _placeholder(card: ModelCard, folder: Path) -> Iterator[str]:
    path = folder / card.tokenizer
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises a plain Exception for every fault
        yield f"{path} cannot be read: {str(error)[:120]}"
        return
    found = tokenizer.token_to_id(card.placeholder)
    if found != card.placeholder_id:
        yield (
            f"the tokenizer gives {card.placeholder!r} "
            + ("no id" if found is None else f"the id {found}")
            + f", the card {card.placeholder_id}"
        )


def _shards(folder: Path) -> Iterator[str]:
    indexes = sorted(folder.glob("*.safetensors.index.json"))
    names: set[str] = set()
    for index in indexes:
        raw, problem = _json(index)
        if problem:
            yield problem
            continue
        names |= set((raw.get("weight_map") or {}).values())
    if not names:
        names = {p.name for p in folder.glob("*.safetensors")}
    if not names:
        yield f"{folder} has no weights (*.safetensors)"
    for name in sorted(names):
        if not (folder / name).is_file():
            yield f"the shard {folder / name} is missing"
        elif (length := _whole_length(folder / name)) != (size := (folder / name).stat().st_size):
            yield (
                f"the shard {folder / name} is damaged or not whole:"
                f" {size} bytes, its header says {length if length else 'nothing'}"
            )


def _whole_length(path: Path) -> int | None:
    """How long a safetensors file must be by its own header: 8 bytes, JSON, tensors; None where it has no header."""
    with path.open("rb") as stream:
        start = stream.read(8)
        if len(start) < 8:
            return None
        (length,) = struct.unpack("<Q", start)
        if length > _LONGEST_HEADER:
            return None
        try:
            header = json.loads(stream.read(length))
            ends = [int(v["data_offsets"][1]) for k, v in header.items() if k != "__metadata__"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return None
    whole: int = 8 + length + max(ends, default=0)
    return whole


def _json(path: Path) -> tuple[dict[str, Any], str]:
    """The object, or a sentence that says why not."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, f"{path} is missing"
    except (OSError, ValueError) as error:
        return {}, f"{path} cannot be read ({type(error).__name__})"
    return (raw, "") if isinstance(raw, dict) else ({}, f"{path} is no JSON object")
