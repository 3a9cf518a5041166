"""Locks, packages and licences, as data."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

Package = tuple[str, str]  # name (PEP 503), version

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_CLASSIFIER = "License :: OSI Approved :: "


def _name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(lock: Path) -> list[Package]:
    return [
        (_name(name), version) for name, version in _PIN.findall(lock.read_text(encoding="utf-8"))
    ]


def installed(root: Path) -> dict[Package, str]:
    """What the checkout's environments have, and what each says of its licence."""
    found: dict[Package, str] = {}
    environments = [root / ".venv", *sorted((root / ".kefu/envs").glob("*"))]
    for environment in environments:
        for path in environment.glob("lib/python3.*/site-packages/*.dist-info/METADATA"):
            headers = HeaderParser().parsestr(path.read_text(encoding="utf-8", errors="replace"))
            package = (_name(headers["Name"]), headers["Version"])
            classifiers = headers.get_all("Classifier") or []
            found[package] = _said(
                headers.get("License-Expression"), headers.get("License"), classifiers
            )
    return found


def npm_packages(lock: Path) -> dict[Package, str]:
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    return {
        (f"npm:{path.rpartition('node_modules/')[2]}", entry["version"]): entry.get("license", "")
        for path, entry in packages.items()
        if path
    }


def told_by_pip(packages: Iterable[Package], root: Path, python: str) -> dict[Package, str]:
    """The metadata of what pip would install, without installing it: a new pip, which fetches no file for that."""
    wanted = sorted(packages)
    if not wanted:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [str(root / ".kefu/envs/scan/bin/python"), "-m", "pip", "install", "--quiet"]
        command += ["--dry-run", "--no-deps", "--ignore-installed", "--report", str(report)]
        command += ["--python-version", python, "--ignore-requires-python"]
        command += ["--only-binary", ":all:", "--target", folder]
        subprocess.run([*command, *(f"{name}=={version}" for name, version in wanted)], check=True)
        items = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    return {
        (_name(m["name"]), m["version"]): _said(
            m.get("license_expression"), m.get("license"), m.get("classifier", [])
        )
        for m in items
    }


def licence_of(package: Package, here: Mapping[Package, str]) -> str:
    return here.get(package, "")


def _said(expression: str | None, free: str | None, classifiers: Iterable[str]) -> str:
    """An SPDX expression where there is one, else classifiers, else the first line of the free text."""
    if expression:
        return expression
    found = [c.removeprefix(_CLASSIFIER) for c in classifiers if c.startswith(_CLASSIFIER)]
    found = [c for c in found if c != "License :: OSI Approved"]
    if found:
        return " AND ".join(sorted(found))
    return (free or "").strip().partition("\n")[0].strip()


@dataclass(frozen=True, slots=True)
class Licences:
    """requirements/licences.toml."""

    allowed: Mapping[str, str]
    spellings: Mapping[str, str]
    given: Mapping[str, str]
    excepted: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> Licences:
        with path.open("rb") as file:
            told = tomllib.load(file)
        return cls(
            allowed=told["allowed"],
            spellings=told["spelled"],
            given={name: entry["licence"] for name, entry in told["given"].items()},
            excepted=told["excepted"],
        )

    @property
    def named(self) -> set[str]:
        """The packages that the file names."""
        return {*self.given, *self.excepted}

    def normal(self, name: str, said: str) -> str:
        """The licence as an SPDX expression: given by hand, or as the package says, in one spelling."""
        if name in self.given:
            return self.given[name]
        # Some write where their licence stands behind its name.
        name_alone = re.sub(r"\s*\(https?://[^)]*\)", "", said)
        return self.spellings.get(name_alone, name_alone) or "unknown"

    def why(self, name: str, licence: str) -> str:
        """Why a package may be used; empty where it may not."""
        if name in self.excepted:
            return self.excepted[name]
        for alternative in re.split(r" OR ", licence.replace("(", "").replace(")", "")):
            parts = [part.strip() for part in alternative.split(" AND ")]
            reasons = sorted({self.allowed[part] for part in parts if part in self.allowed})
            if all(part in self.allowed for part in parts):
                return ", ".join(reasons)
        return ""
