"""The rules of deploy/prometheus: each alert fires when it should, keeps quiet when it should, and has its chapter."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.house import ROOT
from tools.observatory import paced
from tools.prometheus_rule import FOLDER, TARGET, groups, resource

CASES = sorted((ROOT / "tests/deploy/rules").glob("*.yml"))
RUNBOOK = ROOT / "docs/runbook.md"


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("RULES NOT TESTED: there is no promtool; Debian: apt-get install prometheus")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)


@cache
def alerts() -> list[dict[str, Any]]:
    return [rule for group in groups() for rule in group["rules"] if "alert" in rule]


NAMES = sorted({alert["alert"] for alert in alerts()})


@cache
def load(case: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(case.read_text("utf-8"))
    return loaded


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_promtool(case: Path, tmp_path: Path) -> None:
    """Annotations are compared whole by promtool: all but the summary are left out here, or each case would repeat
    the runbook."""
    rules = groups()
    for group in rules:
        for rule in group["rules"]:
            if "alert" in rule:
                rule["annotations"] = {"summary": rule["annotations"]["summary"]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": rules}), encoding="utf-8")
    tests = {"rule_files": ["rules.yml"], **load(case)}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests), encoding="utf-8")
    result = promtool("test", "rules", tmp_path / "tests.yml")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", NAMES)
def test_each_alert_is_seen_to_fire_and_to_keep_quiet(name: str) -> None:
    seen = {
        bool(one["exp_alerts"])
        for case in CASES
        for test in load(case)["tests"]
        for one in test["alert_rule_test"]
        if one["alertname"] == name
    }
    assert seen == {True, False}


def test_rules_and_scrape_configuration_are_valid() -> None:
    for arguments in (
        ("check", "rules", *sorted((FOLDER / "rules").glob("*.yml"))),
        ("check", "config", FOLDER / "prometheus.yml"),
    ):
        result = promtool(*arguments)
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "alert", alerts(), ids=lambda a: f"{a['alert']}-{a['labels'].get('window', '')}"
)
def test_each_alert_says_what_to_do(alert: dict[str, Any]) -> None:
    annotations, labels = alert["annotations"], alert["labels"]
    assert set(annotations) == {"summary", "description", "runbook", "runbook_url"}
    assert labels["severity"] in ("critical", "warning")
    assert labels["kind"] in ("cause", "symptom")
    assert annotations["runbook_url"] == f"docs/runbook.md#{alert['alert'].lower()}"
    assert alert["for"], "one bad scrape must not wake anyone"


def test_the_runbook_has_one_chapter_for_each_alert() -> None:
    chapters = re.findall(r"^### (Kefu\w+)$", RUNBOOK.read_text("utf-8"), re.MULTILINE)
    assert sorted(chapters) == NAMES


def test_the_operators_rule_is_fresh() -> None:
    assert TARGET.read_text("utf-8") == resource(), "python -m tools.prometheus_rule"


def test_plain_prometheus_and_pod_monitors_name_the_same_jobs() -> None:
    plain = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))
    jobs = {job["job_name"] for job in plain["scrape_configs"]}
    monitors = yaml.safe_load_all((FOLDER / "podmonitors.yaml").read_text("utf-8"))
    ours = {
        relabeling["replacement"]
        for monitor in monitors
        for endpoint in monitor["spec"]["podMetricsEndpoints"]
        for relabeling in endpoint["relabelings"]
        if relabeling["targetLabel"] == "job"
    }
    named = {
        job for rule in alerts() for job in re.findall(r'job="(kefu-[a-z]+)"', str(rule["expr"]))
    }
    assert jobs == ours == named


def test_pod_monitors_find_their_pods_and_ports() -> None:
    """A monitor whose labels select nothing is silent, and so are all the alerts behind it."""
    pods = {}
    for file in (ROOT / "k8s/base").glob("*.yaml"):
        for thing in yaml.safe_load_all(file.read_text("utf-8")):
            if thing and thing["kind"] == "Deployment":
                pods[thing["metadata"]["name"]] = thing["spec"]["template"]
    for monitor in yaml.safe_load_all((FOLDER / "podmonitors.yaml").read_text("utf-8")):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        found = [pod for pod in pods.values() if wanted <= pod["metadata"]["labels"].items()]
        assert len(found) == 1, monitor["metadata"]["name"]
        spec = found[0]["spec"]
        ports = {
            port["name"]
            for container in [*spec["containers"], *spec.get("initContainers", [])]
            for port in container.get("ports", [])
        }
        assert {e["port"] for e in monitor["spec"]["podMetricsEndpoints"]} <= ports


def test_pace_shortens_nothing_but_the_waiting() -> None:
    for before, after in zip(groups(), paced(groups(), 0.5), strict=True):
        for one, other in zip(before["rules"], after["rules"], strict=True):
            assert {**one, "for": ""} == {**other, "for": ""}
    first = next(rule for group in paced(groups(), 0.5) for rule in group["rules"] if "for" in rule)
    assert first["for"] == "60000ms"
