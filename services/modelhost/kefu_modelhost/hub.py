"""Whole repositories of the model hub, at one commit, file by file, checked and resumed.

    commit, files = list_files(card.hub, revision, settings)
    fetch(files[0], card.hub.repo, commit, folder / files[0].path)

The hub says of each file its size and a hash: SHA-256 for large files (LFS), git's blob name for small ones.  A file is
moved into its place only when it is the one that the hub listed.  What came before an interruption stays beside it as
`<file>.part` and the next pull goes on from there, in the same process and in the next (`hf_hub_download` throws it
away, so its `http_get` is used directly).  HF_ENDPOINT, HF_TOKEN and HF_HUB_* work as everywhere.
"""

from __future__ import annotations

import fnmatch
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped]

from kefu_modelhost.card import HubWeights
from kefu_modelhost.errors import WeightsError
from kefu_modelhost.hashes import digest, git_blob
from kefu_modelhost.settings import Settings

_LINE_SECONDS = 10.0
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file of a repository; `sha256` where the hub knows it, else `git_blob` (both hex)."""

    path: str
    size: int
    sha256: str
    git_blob: str


def list_files(
    source: HubWeights, revision: str, settings: Settings
) -> tuple[str, tuple[HubFile, ...]]:
    """The commit that `revision` stands for, and those of its files that the card includes.

    WeightsError where the hub does not answer, knows no such repository or revision, or wants a licence accepted.
    """
    from huggingface_hub import HfApi

    try:
        info = HfApi(endpoint=_endpoint()).model_info(
            source.repo, revision=revision, files_metadata=True, timeout=settings.hub_timeout
        )
    except Exception as error:  # every layer below (HTTP, TLS, DNS, the hub's own) has its own
        raise WeightsError(_why(source, revision, error)) from error
    if not info.sha:
        raise WeightsError(f"the hub does not say which commit {revision!r} of {source.repo} is")
    files = tuple(
        HubFile(
            path=_safe(sibling.rfilename),
            size=int(sibling.size or 0),
            sha256=sibling.lfs.sha256 if sibling.lfs else "",
            git_blob=sibling.blob_id or "",
        )
        for sibling in info.siblings or ()
        if any(fnmatch.fnmatch(sibling.rfilename, pattern) for pattern in source.include)
    )
    if not files:
        raise WeightsError(f"{source.repo} at {info.sha} has none of {', '.join(source.include)}")
    return info.sha, files


def fetch(file: HubFile, repo: str, commit: str, target: Path) -> None:
    """Puts one file in its place; WeightsError when it cannot be had or is another one than the hub listed."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.part")
    url = hf_hub_url(repo, file.path, revision=commit, endpoint=_endpoint())
    # Compressed on the way, a file's bytes could not be counted, and so not be continued.
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            if partial.is_file() and partial.stat().st_size > file.size:
                partial.unlink()
            with partial.open("r+b" if partial.is_file() else "wb") as stream:
                there = stream.seek(0, os.SEEK_END)
                http_get(
                    url,
                    stream,
                    resume_size=there,
                    headers=headers,
                    expected_size=file.size,
                    displayed_filename=file.path,
                    tqdm_class=None if sys.stderr.isatty() else PlainProgress,
                )
            break
        except Exception as error:
            if attempt == _ATTEMPTS:
                raise WeightsError(
                    f"{file.path} of {repo}: {_first_line(error)}; what came is kept, pull again to go on"
                ) from error
            _say(f"  {file.path}: {_first_line(error)}; going on")
    if wrong := _difference(file, partial):
        # Kept, it would be continued for ever.
        partial.unlink()
        raise WeightsError(
            f"{file.path} of {repo} at {commit} is not what the hub listed ({wrong}); refused"
        )
    os.replace(partial, target)


def is_there(file: HubFile, target: Path) -> bool:
    """Whether the place already has this very file (reads all of it)."""
    return target.is_file() and target.stat().st_size == file.size and not _difference(file, target)


def missing_bytes(files: Sequence[HubFile], folder: Path) -> int:
    """What is still to be fetched."""
    total = 0
    for file in files:
        target = folder / file.path
        partial = target.with_name(f"{target.name}.part")
        have = next((p.stat().st_size for p in (target, partial) if p.is_file()), 0)
        total += max(0, file.size - have)
    return total


def _difference(file: HubFile, path: Path) -> str:
    if file.sha256:
        found = digest(path, describe=f"checking {file.path}")
        return "" if found == file.sha256 else f"SHA-256 {found}, not {file.sha256}"
    found = git_blob(path)
    return "" if found == file.git_blob else f"git blob {found}, not {file.git_blob}"


def _endpoint() -> str:
    # The library reads it once, at import; here a setting is what it is when it is used.
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _safe(path: str) -> str:
    """A name from elsewhere never leads out of the folder."""
    parts = PurePosixPath(path).parts
    if PurePosixPath(path).is_absolute() or ".." in parts or not parts:
        raise WeightsError(f"the hub lists a file {path!r}, which leads out of the folder; refused")
    return path


def _why(source: HubWeights, revision: str, error: Exception) -> str:
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    where = _endpoint()
    if isinstance(error, RevisionNotFoundError):
        return f"{source.repo} has no revision {revision!r} at {where}: name one that it has with --revision"
    if isinstance(error, GatedRepoError) or (
        isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403)
    ):
        return (
            f"{where} does not give out {source.repo} without leave: accept its licence there,"
            " and set HF_TOKEN to a token of that account"
        )
    if isinstance(error, RepositoryNotFoundError):
        return f"{where} has no model {source.repo}, or hides it: set HF_TOKEN if it is yours"
    return (
        f"{where} cannot be reached ({_first_line(error)}): set HF_ENDPOINT to a mirror, or fetch elsewhere"
        f" and mount the folder: a mounted one needs no network"
    )


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class PlainProgress(tqdm):  # type: ignore[misc]
    """For a log: a line when a file begins, every ten seconds, and when it is done; no control characters."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.pop("name", None)
        self._next_line = time.monotonic() + _LINE_SECONDS
        super().__init__(*args, **{**options, "disable": False, "file": _Nowhere()})
        self._line()

    def update(self, n: float | None = 1) -> bool | None:
        told: bool | None = super().update(n)
        if time.monotonic() >= self._next_line or self.n == self.total:
            self._next_line = time.monotonic() + _LINE_SECONDS
            self._line()
        return told

    def _line(self) -> None:
        share = f"{self.n / self.total:4.0%} of " if self.total else ""
        _say(f"  {self.desc}: {share}{(self.total or self.n) / 1e6:,.1f} MB")


class _Nowhere:
    def write(self, text: str) -> None: ...

    def flush(self) -> None: ...
