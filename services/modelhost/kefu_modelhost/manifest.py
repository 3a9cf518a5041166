"""What a folder of weights holds, written beside it when it was fetched: `kefu-weights.json`.

    {"model": "qwen3_vl_4b", "repo": "Qwen/Qwen3-VL-4B-Instruct", "revision": "ebb2…",
     "files": {"config.json": {"size": 1234, "sha256": "…"}, …}}

It is written last, so a folder that has one is whole; `verify` reads every byte again and needs no network.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from kefu_modelhost.errors import WeightsError
from kefu_modelhost.hashes import digest

NAME = "kefu-weights.json"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Size in bytes, SHA-256 in hex."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """`files`: paths relative to the folder, with forward slashes."""

    model: str
    repo: str
    revision: str
    files: Mapping[str, FileRecord]


def read(folder: Path) -> Manifest | None:
    """None where there is none (weights that came another way); WeightsError where it cannot be read."""
    path = folder / NAME
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        files = {name: FileRecord(int(f["size"]), f["sha256"]) for name, f in raw["files"].items()}
        return Manifest(model=raw["model"], repo=raw["repo"], revision=raw["revision"], files=files)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{path} is damaged ({type(error).__name__}): remove it and pull again"
        ) from error


def write(manifest: Manifest, folder: Path) -> None:
    """Replaces the folder's manifest as a whole."""
    partial = folder / f"{NAME}.{os.getpid()}.part"
    partial.write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")
    os.replace(partial, folder / NAME)


def differences(manifest: Manifest, folder: Path, *, hashes: bool) -> list[str]:
    """What is not as the manifest says, a sentence a file: missing, another size, and with `hashes` other bytes."""
    found = []
    for name, record in sorted(manifest.files.items()):
        path = folder / name
        if not path.is_file():
            found.append(f"{path} is missing")
        elif path.stat().st_size != record.size:
            found.append(f"{path} has {path.stat().st_size} bytes, not {record.size}")
        elif hashes and digest(path, describe=f"checking {name}") != record.sha256:
            found.append(f"{path} is damaged: its SHA-256 is not {record.sha256}")
    return found
