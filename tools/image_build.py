"""Images by buildah, without a daemon and without namespaces of their own (`--isolation chroot`)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCAL_BASE = "localhost/kefu-base:bookworm"
_MIRROR = "http://deb.debian.org/debian"
_PINNED = re.compile(r"^ARG BASE=(\S+@sha256:[0-9a-f]{64})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Configured:
    """How an image is started."""

    entrypoint: list[str]
    environment: dict[str, str]


class NotHere(Exception):
    """Something that a build needs cannot be had on this machine; the text says what."""


def pinned_base(name: str) -> str:
    """The base image of a Dockerfile, with its digest."""
    text = (ROOT / f"deploy/images/{name}.Dockerfile").read_text(encoding="utf-8")
    found = _PINNED.search(text)
    if found is None:
        raise NotHere(f"{name}.Dockerfile pins no base")
    return found[1]


class Builder:
    """Images in a storage of their own, in `folder`; nothing of the machine's other images is touched."""

    def __init__(self, folder: Path, *, tag: str) -> None:
        self._folder = folder
        self._tag = tag
        folder.mkdir(parents=True, exist_ok=True)

    def base(self, wanted: str | None) -> str | None:
        """LOCAL_BASE where the pinned one is not to be used or not to be had, else None."""
        if wanted != "local":
            pinned = pinned_base("gateway")
            pulled = self._buildah("pull", "--quiet", pinned, check=False)
            if pulled.returncode == 0:
                return None
            if wanted == "registry":
                raise NotHere(f"{pinned} cannot be pulled: {pulled.stderr.strip()[-400:]}")
        if self._buildah("inspect", "--type", "image", LOCAL_BASE, check=False).returncode:
            self._make_base()
        return LOCAL_BASE

    def _make_base(self) -> None:
        if not shutil.which("debootstrap"):
            raise NotHere("no registry and no debootstrap: apt-get install debootstrap")
        root = self._folder / "debootstrap"
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(
            ["debootstrap", "--variant=minbase", "bookworm", str(root), _MIRROR],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        container = self._buildah("from", "scratch").stdout.strip()
        self._buildah("add", "--quiet", container, str(root), "/")
        self._buildah("commit", "--quiet", "--rm", container, LOCAL_BASE)
        shutil.rmtree(root)

    def image(self, name: str) -> str:
        return f"localhost/kefu/{name}:{self._tag}"

    def build(self, name: str, base: str | None) -> None:
        """Layers that did not change are taken from the last time. Raises CalledProcessError with the log's end."""
        command = ["bud", "--isolation", "chroot", "--layers", *self._pip()]
        if base is not None:
            command += ["--build-arg", f"BASE={base}"]
        command += ["--file", f"deploy/images/{name}.Dockerfile", "--tag", self.image(name), "."]
        done = self._buildah(*command, check=False)
        (self._folder / f"{name}.log").write_text(done.stdout + done.stderr, encoding="utf-8")
        if done.returncode:
            end = (done.stdout + done.stderr)[-3000:]
            raise NotHere(f"{name} does not build ({self._folder / name}.log):\n{end}")

    def _pip(self) -> list[str]:
        """A network with a certificate of its own (PIP_CERT): the builds' pip must know it too. Never in the image."""
        certificate = os.environ.get("PIP_CERT")
        if not certificate:
            return []
        settings = self._folder / "pip.conf"
        settings.write_text("[global]\ncert = /etc/pip-certificates.crt\n")
        return [
            *("--volume", f"{certificate}:/etc/pip-certificates.crt:ro"),
            *("--volume", f"{settings}:/etc/pip.conf:ro"),
        ]

    @contextmanager
    def mounted(self, name: str) -> Iterator[Path]:
        """The image's root, as a folder that nothing of is kept."""
        container = self._buildah("from", "--pull-never", self.image(name)).stdout.strip()
        try:
            yield Path(self._buildah("mount", container).stdout.strip())
        finally:
            self._buildah("rm", container)

    def configured(self, name: str) -> Configured:
        """What the image itself says of how it is started; ValueError where its user is not the manifests' user."""
        told = json.loads(self._buildah("inspect", "--type", "image", self.image(name)).stdout)
        config = told["OCIv1"]["config"]
        if config.get("User") != "10001:10001":
            raise ValueError(f"{name} runs as {config.get('User')!r}")
        return Configured(
            entrypoint=config["Entrypoint"],
            environment=dict(pair.split("=", 1) for pair in config["Env"]),
        )

    def close(self) -> None:
        """Takes down what buildah leaves mounted: `./dev clean` could not remove the folder otherwise."""
        inside = f"{self._folder.resolve()}/"
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if mount.startswith(inside)]):
            subprocess.run(["umount", "--lazy", mount], check=False)

    def packed(self, name: str) -> int:
        """Bytes that a registry would keep: the layers compressed."""
        archive = self._folder / f"{name}.tar"
        archive.unlink(missing_ok=True)
        self._buildah("push", "--quiet", self.image(name), f"oci-archive:{archive}")
        size = archive.stat().st_size
        archive.unlink()
        return size

    def _buildah(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        storage = ["--root", str(self._folder / "storage"), "--runroot", str(self._folder / "run")]
        return subprocess.run(
            ["buildah", *storage, "--storage-driver", "overlay", *arguments],
            cwd=ROOT,
            check=check,
            capture_output=True,
            text=True,
            timeout=3600,
        )
