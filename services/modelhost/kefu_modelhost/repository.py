"""A model's whole repository in its weights folder: fetched once, checked, recorded; and checked again on demand.

    pull_repository(card, folder, settings)
    verify(folder, settings)

The order makes an init container safe: what is needed and whether it has room, every file against the hub's hash, the
whole against the card, and only then the manifest.  A folder whose manifest is of the wanted commit is left alone, and
the network is not asked.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from kefu_modelhost import hub, manifest
from kefu_modelhost.card import HubWeights, ModelCard, all_cards
from kefu_modelhost.errors import SetupError, WeightsError
from kefu_modelhost.hashes import digest
from kefu_modelhost.manifest import FileRecord, Manifest
from kefu_modelhost.matching import mismatches, require_match
from kefu_modelhost.settings import Settings

# Room that stays free beside the weights: logs, and the server's own files.
_SPARE = 256 << 20


def pull_repository(
    card: ModelCard,
    folder: Path,
    settings: Settings,
    *,
    revision: str = "",
    from_path: Path | None = None,
) -> None:
    """SetupError (WeightsError) with what is wrong and what to do; nothing that is wrong is ever recorded."""
    assert card.hub is not None
    if from_path is not None:
        _adopt(card, folder, from_path)
        return
    wanted = revision or card.hub.revision
    if not wanted:
        raise SetupError(
            f"{card.name}: its card pins no commit of {card.hub.repo}. Look it over at the hub, and name the commit"
            " that you want: `--revision <40 digits>`"
        )
    if settings.pull_source == "pypi":
        raise SetupError(f"{card.name} is at the model hub alone (KEFU_WEIGHTS_SOURCE)")
    there = manifest.read(folder)
    if there is not None and there.revision == wanted and not any(mismatches(card, folder)):
        _say(f"{folder}: there ({card.hub.repo} at {wanted[:12]})")
        return
    commit, files = hub.list_files(card.hub, wanted, settings)
    if card.hub.revision and commit != card.hub.revision:
        _say(f"{card.name}: {commit[:12]}, not the card's {card.hub.revision[:12]}")
    _require_room(files, folder)
    _say(f"{card.name}: {len(files)} files of {card.hub.repo} at {commit[:12]}")
    (folder / manifest.NAME).unlink(missing_ok=True)
    records = {}
    for number, file in enumerate(files, 1):
        target = folder / file.path
        if hub.is_there(file, target):
            _say(f"  {number}/{len(files)} {file.path}: there")
        else:
            hub.fetch(file, card.hub.repo, commit, target)
            _say(f"  {number}/{len(files)} {file.path}: {file.size / 1e6:,.1f} MB, checked")
        records[file.path] = FileRecord(file.size, file.sha256 or digest(target))
    require_match(card, folder)
    _record(card, folder, commit, records)


def verify(folder: Path, settings: Settings) -> bool:
    """Checks a folder of weights, or every one below it, against its manifest and its card; says what it finds.

    SetupError when there is nothing to check.
    """
    folders = [folder] if (folder / manifest.NAME).is_file() else []
    folders = folders or sorted(p.parent for p in folder.glob(f"*/{manifest.NAME}"))
    if not folders:
        raise SetupError(f"{folder} has no {manifest.NAME}, and no folder in it has one")
    cards = {card.name: card for card in all_cards(settings.repositories)}
    fine = True
    for one in folders:
        found = manifest.read(one)
        assert found is not None
        problems = manifest.differences(found, one, hashes=True)
        card = cards.get(found.model)
        if card is None:
            problems.append(f"no card of {found.model!r} in the model repository")
        elif not problems:
            problems += mismatches(card, one)
        for problem in problems:
            _say(f"{found.model}: {problem}")
        if not problems:
            _say(f"{found.model}: {len(found.files)} files are whole and fit the card")
        fine = fine and not problems
    return fine


def _adopt(card: ModelCard, folder: Path, source: Path) -> None:
    """A checkpoint on this machine: checked against the card, linked into place, and recorded."""
    source = source.expanduser()
    if not source.is_dir():
        raise WeightsError(
            f"{source} is no folder, and {card.name} is a checkpoint of several files (--from-path)"
        )
    require_match(card, source)
    records = {}
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        name = path.relative_to(source).as_posix()
        if name == manifest.NAME or name.endswith(".part") or name.startswith("."):
            continue
        target = folder / name
        if path.resolve() != target.resolve():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            try:
                os.link(path, target)
            except OSError:
                shutil.copyfile(path, target)
        records[name] = FileRecord(path.stat().st_size, digest(path, describe=f"reading {name}"))
    earlier = manifest.read(source)
    _record(card, folder, earlier.revision if earlier else "local", records)


def _record(card: ModelCard, folder: Path, commit: str, records: dict[str, FileRecord]) -> None:
    repo = card.hub.repo if isinstance(card.hub, HubWeights) else ""
    manifest.write(Manifest(model=card.name, repo=repo, revision=commit, files=records), folder)
    _say(f"{folder}: whole, {sum(r.size for r in records.values()) / 1e9:,.1f} GB")


def _require_room(files: tuple[hub.HubFile, ...], folder: Path) -> None:
    need = hub.missing_bytes(files, folder)
    free = shutil.disk_usage(folder).free
    if need + _SPARE > free:
        raise WeightsError(
            f"{folder} has {free / 1e9:,.1f} GB free and needs {(need + _SPARE) / 1e9:,.1f} GB:"
            " make room, or choose another folder with --to (KEFU_WEIGHTS_DIR)"
        )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
