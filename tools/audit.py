"""`./dev audit [--check]`: every locked dependency with its version and licence, in docs/dependencies.md.

What a package says of its licence is read from its own metadata: from an environment of this checkout that has it, else
from what pip would install. `--check` asks nobody: it compares the page with the locks, the allowed licences
(requirements/licences.toml) and whatever is installed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tools.audit_licences import (
    Licences,
    Package,
    installed,
    licence_of,
    locked,
    npm_packages,
    told_by_pip,
)

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/dependencies.md"
_LOCKS = {
    "gateway": "the gateway's process and image",
    "preprocess": "the sidecar's process and image",
    "modelhost": "the model host, in the Triton images",
    "triton": "Triton's models on a CPU: the server itself, the engine reader",
    "ngc": "the engines in NVIDIA's Triton image",
    "vllm": "the engine vllm on a CPU",
    "vllm-cuda": "the engine vllm with a GPU, outside NVIDIA's image",
    "transformers": "the engine transformers",
    "magma": "the engine transformers for Magma-8B, whose own code wants older packages",
    "torch": "torch on a CPU",
    "dev": "tests and tools; includes gateway, preprocess and modelhost",
    "deploy": "checks of manifests and dashboards",
    "scan": "scanners",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev audit", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when stale")
    parser.add_argument(
        "--vulnerabilities",
        metavar="LOCK",
        help="ask PyPI what is known of a lock's packages, by pip-audit (needs the network)",
    )
    options = parser.parse_args()
    if options.vulnerabilities:
        return vulnerabilities(options.vulnerabilities)
    if not options.check:
        PAGE.write_text(page(), encoding="utf-8")
    problems = stale()
    for problem in problems:
        print("PROBLEM ", problem)
    print(
        f"{len(rows_of(PAGE.read_text(encoding='utf-8')))} dependencies, {len(problems)} problems"
    )
    return 1 if problems else 0


def all_locked() -> dict[Package, list[str]]:
    """Every package and version of every lock, and the locks that have it."""
    found: dict[Package, list[str]] = {}
    for name in _LOCKS:
        for package in locked(ROOT / f"requirements/{name}.txt"):
            found.setdefault(package, []).append(name)
    for package in npm_packages(ROOT / "tools/manifests/custom_resources/package-lock.json"):
        found.setdefault(package, []).append("custom resources")
    return found


def page() -> str:
    """docs/dependencies.md as it should be now. Asks pip for the packages that are not installed here."""
    licences = Licences.read(ROOT / "requirements/licences.toml")
    wanted = all_locked()
    here = installed(ROOT)
    here |= npm_packages(ROOT / "tools/manifests/custom_resources/package-lock.json")
    # What an earlier run found out about the same version is still so.
    if PAGE.is_file():
        known = rows_of(PAGE.read_text(encoding="utf-8"))
        here = {p: row[0] for p, row in known.items() if row[0] != "unknown"} | here
    for python, only in (("3.12", True), ("3.11", False)):
        missing = [
            package
            for package, locks in wanted.items()
            if package not in here
            and package[0] not in licences.given
            # NVIDIA's image has another Python than everything else.
            and (locks == ["ngc"]) is only
        ]
        here |= told_by_pip(missing, ROOT, python)
    lines = [_HEAD]
    lines += [f"| `requirements/{name}.txt` | {text} |" for name, text in _LOCKS.items()]
    lines += [
        "",
        "| package | version | licence | why it is allowed | locks |",
        "| --- | --- | --- | --- | --- |",
    ]
    for package in sorted(wanted):
        licence = licences.normal(package[0], here.get(package, ""))
        why = licences.why(package[0], licence) or "**NOT ALLOWED**"
        lines.append(
            f"| {package[0]} | {package[1]} | {licence} | {why} | {', '.join(wanted[package])} |"
        )
    return "\n".join(lines) + "\n"


def rows_of(text: str) -> dict[Package, tuple[str, str, str]]:
    """The page's rows: package to licence, reason and locks."""
    rows: dict[Package, tuple[str, str, str]] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 5 and cells[0] not in ("package", "---"):
            rows[(cells[0], cells[1])] = (cells[2], cells[3], cells[4])
    return rows


def stale() -> list[str]:
    """What the page does not say, says wrongly, or should not have to say. Needs no network."""
    licences = Licences.read(ROOT / "requirements/licences.toml")
    rows, wanted = rows_of(PAGE.read_text(encoding="utf-8")), all_locked()
    problems = [
        f"{p[0]} {p[1]} is locked, and not in docs/dependencies.md: ./dev audit"
        for p in wanted
        if p not in rows
    ]
    problems += [
        f"{p[0]} {p[1]} is in docs/dependencies.md, and not locked: ./dev audit"
        for p in rows
        if p not in wanted
    ]
    here = installed(ROOT)
    for package, (licence, why, locks) in rows.items():
        name = " ".join(package)
        if licences.why(package[0], licence) != why:
            problems.append(
                f"{name}: {licence!r} is not allowed, or for another reason than the page's"
            )
        if package in here and licences.normal(package[0], here[package]) != licence:
            problems.append(
                f"{name}: the page says {licence!r}, the package {licence_of(package, here)!r}"
            )
        if package in wanted and ", ".join(wanted[package]) != locks:
            problems.append(f"{name}: is in other locks than the page says")
    names = {package[0] for package in wanted}
    problems += [
        f"requirements/licences.toml: nothing locks {name}" for name in licences.named - names
    ]
    return problems


def vulnerabilities(lock: str) -> int:
    environment = ROOT / ".kefu/envs/scan/bin"
    command = [
        str(environment / "pip-audit"),
        "--require-hashes",
        "--disable-pip",
        "--strict",  # what cannot be looked up must not read as "nothing is known"
        "--progress-spinner=off",
    ]
    return subprocess.run(
        [*command, "--requirement", str(ROOT / f"requirements/{lock}.txt")], check=False
    ).returncode


_HEAD = """# Dependencies

Written by `./dev audit` from the locks and from what each package says of itself; `./dev test` fails when it is stale
or when a licence is neither allowed nor excepted (`requirements/licences.toml`, where the reasons are). Versions and
hashes are those of the locks: pip installs nothing else.

Known vulnerabilities are not part of this page, which would be out of date the day after:
`./dev audit --vulnerabilities gateway` asks PyPI about a lock (pip-audit; needs PyPI itself, a mirror does not know).

| lock | what runs on it |
| --- | --- |"""


if __name__ == "__main__":
    sys.exit(main())
