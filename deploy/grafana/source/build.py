"""Writes the dashboards' JSON; `--check` says which is stale. Runs in the environment of requirements/deploy.txt.

.kefu/envs/deploy/bin/python -m deploy.grafana.source.build [--check]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.source import oncall, pictures, road, sessions, tenants, triton

FOLDER = Path(__file__).resolve().parents[1] / "dashboards"
PAGES = (oncall, road, pictures, sessions, triton, tenants)


def texts() -> dict[str, str]:
    """The dashboards by file name, panels numbered in order."""
    made = {}
    for page in PAGES:
        dashboard = page.dashboard().build()
        for number, panel in enumerate(dashboard.panels or (), start=1):
            panel.id_val = number
        text = json.dumps(dashboard, cls=JSONEncoder, indent=2, ensure_ascii=False, sort_keys=True)
        made[f"{dashboard.uid}.json"] = text + "\n"
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes deploy/grafana/dashboards.")
    parser.add_argument("--check", action="store_true", help="only say what is stale")
    options = parser.parse_args()
    wanted = texts()
    there = {file.name: file.read_text("utf-8") for file in FOLDER.glob("*.json")}
    if not options.check:
        for name in there.keys() - wanted.keys():
            (FOLDER / name).unlink()
        for name, text in wanted.items():
            (FOLDER / name).write_text(text, encoding="utf-8")
        return 0
    stale = [
        name for name in sorted(wanted.keys() | there.keys()) if wanted.get(name) != there.get(name)
    ]
    for name in stale:
        print(f"{name} is stale: python -m deploy.grafana.source.build", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
