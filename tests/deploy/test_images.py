"""The Dockerfiles: what they promise, and that the checks of what was built can fail. Building is `./dev images`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tools.image_build import NotHere, pinned_base
from tools.image_checks import USER, problems_of
from tools.images import IMAGES
from tools.manifests.build import ENVIRONMENT, OVERLAYS, ROOT, built, containers, pods

FOLDER = ROOT / "deploy/images"
DOCKERFILES = sorted(FOLDER.glob("*.Dockerfile"))
OURS = {path.name.removesuffix(".Dockerfile") for path in DOCKERFILES}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_every_base_is_pinned_by_its_digest(path: Path) -> None:
    text = path.read_text()
    name = path.name.removesuffix(".Dockerfile")
    assert re.fullmatch(r"\S+:[\w.-]+@sha256:[0-9a-f]{64}", pinned_base(name))
    assert ":latest" not in text
    # Nothing else is built on: the pinned argument, a stage of this file, or nothing at all.
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?", text, re.MULTILINE)
    assert {base for base, _ in stages} <= {"${BASE}", "scratch"}
    assert re.findall(r"^COPY --from=(\S+)", text, re.MULTILINE) == ["build"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_the_last_stage_installs_nothing_and_is_nobody(path: Path) -> None:
    last = path.read_text().rpartition("\nFROM ")[2]
    assert "RUN" not in last
    assert f"USER {USER}:{USER}" in last
    assert re.search(r'ENTRYPOINT \["/usr/bin/python3", "-m", "kefu_\w+"', last)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_packages_are_installed_by_their_hashes(path: Path) -> None:
    text = path.read_text().replace("\\\n", " ")
    installs = re.findall(r"pip .*?install .*?(?=\n|&&)", text)
    assert installs
    for command in installs:
        if not command.startswith("pip install --yes"):
            assert "--require-hashes" in command
            assert "--no-deps" in command
            lock = re.search(r"/build/([\w-]+\.txt)", command)
            assert lock
            assert (ROOT / "requirements" / lock[1]).is_file()


@pytest.mark.skipif(
    not (ENVIRONMENT / "bin/hadolint").exists(),
    reason=f"no hadolint: {ENVIRONMENT} is not there (./dev test makes it)",
)
def test_hadolint_has_nothing_to_say(tmp_path: Path) -> None:
    hadolint = str(ENVIRONMENT / "bin/hadolint")
    done = subprocess.run([hadolint, *map(str, DOCKERFILES)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM debian:latest\nRUN cd / && sudo apt-get install x\n")
    assert subprocess.run([hadolint, str(bad)], capture_output=True).returncode == 1
    for path in DOCKERFILES:
        for waiver in re.finditer(r"^# hadolint ignore=", path.read_text(), re.MULTILINE):
            before = path.read_text()[: waiver.start()].splitlines()[-1]
            assert before.startswith("# "), f"{path.name}: a waiver without its reason"


@pytest.mark.skipif(not (ENVIRONMENT / "bin/kubectl").exists(), reason="no kubectl: ./dev test")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_manifests_use_the_images_and_the_user_that_are_built(overlay: str) -> None:
    for owner, pod in pods(built(overlay)):
        for container in containers(pod):
            repository, _, name = container["image"].partition("/kefu/")
            if owner == "StatefulSet/kefu-valkey":
                assert "@sha256:" in container["image"], "somebody else's image"
                continue
            assert repository == "registry.example.com"
            assert name.partition(":")[0] in OURS
            assert pod["securityContext"]["runAsUser"] == USER
    assert set(IMAGES) | {"triton"} == OURS


def test_what_is_in_an_image_is_in_the_build_s_context() -> None:
    """.dockerignore lets named folders in; a COPY from elsewhere would fail only where somebody builds."""
    allowed = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    for path in DOCKERFILES:
        for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", path.read_text(), re.MULTILINE):
            for source in sources.split():
                assert (ROOT / source).exists(), f"{path.name}: {source}"
                assert any(source.startswith(folder) for folder in allowed), (
                    f"{path.name}: {source}"
                )


def test_an_unpinned_base_is_no_base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "deploy/images").mkdir(parents=True)
    (tmp_path / "deploy/images/x.Dockerfile").write_text("ARG BASE=debian:bookworm-slim\n")
    monkeypatch.setattr("tools.image_build.ROOT", tmp_path)
    with pytest.raises(NotHere):
        pinned_base("x")


def test_the_check_of_a_root_finds_what_must_not_be_there(tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    (clean / "usr/bin").mkdir(parents=True)
    (clean / "usr/bin/python3.11").write_text("")
    (clean / "tmp").mkdir(mode=0o777)
    assert list(problems_of(clean)) == []
    (clean / "usr/bin/sh").write_text("")
    (clean / "opt/kefu/packages/pip").mkdir(parents=True)
    loose = clean / "usr/bin/tool"
    loose.write_text("")
    os.chmod(loose, 0o4777)
    found = "\n".join(problems_of(clean))
    for text in ("usr/bin/sh is there", "pip is there", "set-id bit", "can be written to"):
        assert text in found


def test_what_only_a_real_start_showed_to_be_missing() -> None:
    """Found by starting the first images: the stub is started through bash and wants a UTF-8 locale, and the gateway
    asks for its own version, which copied code does not have."""
    assert "/usr/lib/locale/C.utf8" in (FOLDER / "rootfs.sh").read_text()
    assert " bash\n" in (FOLDER / "triton-cpu.Dockerfile").read_text()
    for path in DOCKERFILES:
        assert "/build/metadata.py /build/pyproject.toml" in path.read_text(), path.name


def test_the_record_of_the_distribution_is_one_that_python_finds(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "metadata.py"), str(ROOT / "pyproject.toml")]
    subprocess.run([*command, str(tmp_path)], check=True)
    (found,) = metadata.distributions(path=[str(tmp_path)])
    assert (found.name, found.version) == ("kefu", metadata.version("kefu"))
