"""What an image must not have, and what the linters say of the Dockerfiles."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tools.manifests.build import ENVIRONMENT
from tools.manifests.policy import explanations, unexplained
from tools.manifests.scan import scan

USER = 10001
_FORBIDDEN = (
    "sh",
    "bash",
    "dash",
    "apt",
    "apt-get",
    "dpkg",
    "pip",
    "pip3",
    "gcc",
    "cc",
    "make",
    "curl",
    "wget",
    "tar",
    "perl",
)


def lint(folder: Path) -> list[str]:
    """Findings of hadolint (waivers stand in the Dockerfiles, each with its reason) and trivy."""
    done = subprocess.run(
        [str(ENVIRONMENT / "bin/hadolint"), *map(str, sorted(folder.glob("*.Dockerfile")))],
        capture_output=True,
        text=True,
        check=False,
    )
    found = (done.stdout + done.stderr).splitlines()
    left, stale = unexplained(scan(folder), explanations(folder / "explained.toml"))
    found += [str(finding) for finding in left]
    return found + [f"explained.toml: nothing is found by {e.rule} any more" for e in stale]


def problems_of(root: Path, *, needed: tuple[str, ...] = ()) -> Iterator[str]:
    """What whoever got in could use, in the root of an image. `needed`: programs that it cannot do without."""
    for folder in ("usr/bin", "usr/sbin", "usr/local/bin", "opt/kefu/packages/bin"):
        for name in _FORBIDDEN:
            if name not in needed and (root / folder / name).exists():
                yield f"{folder}/{name} is there"
    for name in ("pip", "setuptools"):
        if (root / "opt/kefu/packages" / name).exists():
            yield f"{name} is there"
    for path, mode in _files(root):
        if mode.st_mode & (stat.S_ISUID | stat.S_ISGID) and stat.S_ISREG(mode.st_mode):
            yield f"{path} has the set-id bit"
        loose = mode.st_mode & stat.S_IWOTH and not stat.S_ISLNK(mode.st_mode)
        if (loose or mode.st_uid == USER) and str(path) != "tmp":
            yield f"{path} can be written to by the service"


def _files(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            yield path.relative_to(root), path.lstat()


def sizes(name: str, root: Path, packed: int) -> str:
    """One line of figures, in MB of 10^6 bytes."""
    whole = sum(mode.st_size for _, mode in _files(root) if stat.S_ISREG(mode.st_mode))
    count = sum(1 for _ in (root / "var/lib/dpkg/status.d").glob("*"))
    return f"{name:12} {whole / 1e6:7.0f} MB, {packed / 1e6:6.0f} MB compressed, {count} Debian packages"
