"""Writes the PrometheusRule of a cluster from the rules that a plain Prometheus reads; `--check` says when it is stale.

python -m tools.prometheus_rule [--check]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[1] / "deploy/prometheus"
TARGET = FOLDER / "prometheusrule.yaml"
HEAD = "# Written by `python -m tools.prometheus_rule` from rules/*.yml: change those.\n"


class _Plain(yaml.SafeDumper):
    """No anchors: kubectl's diff and people read every annotation where it stands."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Plain.add_representer(str, _block)


def groups(folder: Path = FOLDER / "rules") -> list[dict[str, Any]]:
    """The groups of all rule files, in the order of the files' names, recording rules before alerts."""
    files = sorted(folder.glob("*.yml"), key=lambda file: (file.stem != "recording", file.name))
    return [group for file in files for group in yaml.safe_load(file.read_text("utf-8"))["groups"]]


def resource() -> str:
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "kefu", "labels": {"app.kubernetes.io/part-of": "kefu"}},
        "spec": {"groups": groups()},
    }
    return HEAD + yaml.dump(rule, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=1000)


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes deploy/prometheus/prometheusrule.yaml.")
    parser.add_argument("--check", action="store_true", help="only say whether it is stale")
    if not parser.parse_args().check:
        TARGET.write_text(resource(), encoding="utf-8")
        return 0
    if not TARGET.exists() or TARGET.read_text("utf-8") != resource():
        print(f"{TARGET} is stale: python -m tools.prometheus_rule", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
