"""docs/dependencies.md is what the locks say, and every licence in it is allowed. And that both can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import audit
from tools.audit_licences import Licences, installed, locked

ROOT = audit.ROOT


def test_the_page_is_fresh_and_every_licence_is_allowed() -> None:
    assert audit.stale() == []


def test_the_locks_that_run_are_all_in_it() -> None:
    names = {path.stem for path in (ROOT / "requirements").glob("*.txt")}
    assert {n for n in names if not n.endswith("-overrides")} == set(audit._LOCKS)
    rows = audit.rows_of(audit.PAGE.read_text(encoding="utf-8"))
    assert len(rows) == len(audit.all_locked()) > 250


def test_a_page_that_is_behind_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = audit.PAGE.read_text(encoding="utf-8")
    version = dict(locked(ROOT / "requirements/gateway.txt"))["grpcio"]
    assert f"| grpcio | {version} | Apache-2.0 |" in text
    spoiled = tmp_path / "dependencies.md"
    spoiled.write_text(
        text.replace(f"| grpcio | {version} |", "| grpcio | 1.0.0 |").replace(
            "| structlog |", "| strutlog |"
        )
    )
    monkeypatch.setattr(audit, "PAGE", spoiled)
    problems = "\n".join(audit.stale())
    assert f"grpcio {version} is locked, and not in" in problems
    assert "grpcio 1.0.0 is in docs/dependencies.md, and not locked" in problems
    assert "strutlog" in problems


def test_a_page_that_lies_about_a_licence_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    version = dict(locked(ROOT / "requirements/gateway.txt"))["grpcio"]
    assert ("grpcio", version) in installed(ROOT)
    spoiled = tmp_path / "dependencies.md"
    text = audit.PAGE.read_text(encoding="utf-8")
    spoiled.write_text(
        text.replace(f"| {version} | Apache-2.0 |", f"| {version} | AGPL-3.0-only |")
    )
    monkeypatch.setattr(audit, "PAGE", spoiled)
    problems = "\n".join(audit.stale())
    assert "'AGPL-3.0-only' is not allowed" in problems
    assert "the page says 'AGPL-3.0-only', the package 'Apache-2.0'" in problems


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only OR MIT", True),
        ("MIT AND GPL-3.0-only", False),
        ("(MIT AND Apache-2.0) OR GPL-3.0-only", True),
        ("AGPL-3.0-only", False),
        ("unknown", False),
    ],
)
def test_licences_are_read_as_expressions(licence: str, allowed: bool) -> None:
    licences = Licences.read(ROOT / "requirements/licences.toml")
    assert bool(licences.why("some-package", licence)) is allowed
