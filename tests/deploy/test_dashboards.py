"""The dashboards as Grafana reads them: fresh, readable, linked. tests/e2e/test_watch.py runs their expressions."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from kefu_gateway.adapters.gpu import GpuFigures
from tools import panels
from tools.house import ROOT
from tools.panels import Dashboard, Panel
from tools.prometheus_rule import groups

GRAFANA = ROOT / "deploy/grafana"
BUILDER = ROOT / ".kefu/envs/deploy/bin/python"
BOARDS = panels.load()
# Of Grafana's many units, those that our renderer and our readers know.
UNITS = {"s", "reqps", "percentunit", "bytes", "Bps", "watt", "short"}


def all_panels() -> Iterator[tuple[Dashboard, Panel]]:
    for board in BOARDS:
        for panel in board.panels:
            yield board, panel


def test_json_is_fresh() -> None:
    if not BUILDER.exists():
        pytest.skip(
            "DASHBOARDS NOT BUILT ANEW: there is no .kefu/envs/deploy; ./dev test installs it"
        )
    check = [str(BUILDER), "-m", "deploy.grafana.source.build", "--check"]
    result = subprocess.run(check, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_each_dashboard_is_in_the_kustomization() -> None:
    kustomization = yaml.safe_load((GRAFANA / "kustomization.yaml").read_text("utf-8"))
    named = [file for one in kustomization["configMapGenerator"] for file in one["files"]]
    assert sorted(named) == sorted(f"dashboards/{board.uid}.json" for board in BOARDS)


def test_few_panels_each_with_words_and_a_unit() -> None:
    for board, panel in all_panels():
        where = f"{board.title}: {panel.title}"
        assert len(panel.description) > 20, where
        assert panel.kind == "state-timeline" or panel.unit in UNITS, where
        assert len(panel.queries) <= 4, where
    for board in BOARDS:
        titles = [panel.title for panel in board.panels]
        assert len(set(titles)) == len(titles) <= 16, board.title


def test_panels_fill_the_grid_without_overlap() -> None:
    for board in BOARDS:
        taken: set[tuple[int, int]] = set()
        for panel in board.panels:
            x, y, width, height = panel.place
            cells = {(x + i, y + j) for i in range(width) for j in range(height)}
            assert x + width <= 24, panel.title
            assert not cells & taken, panel.title
            taken |= cells


def test_every_expression_hears_the_variables() -> None:
    """A panel that forgets the namespace shows another team's numbers as ours."""
    for board, panel in all_panels():
        values = board.values("1m")
        for query in panel.queries:
            selectors = re.findall(r"\w\{([^}]*)\}", query.expression)
            assert selectors, panel.title
            for selector in selectors:
                assert 'namespace=~"$namespace"' in selector, f"{panel.title}: {selector}"
            query.filled(values)  # KeyError: a variable that the dashboard does not have
            for used in re.findall(r"\$(\w+)", query.expression):
                assert used in values, panel.title


def test_variables() -> None:
    for board in BOARDS:
        kinds = [(one["name"], one["type"]) for one in board.variables]
        assert kinds[:2] == [("datasource", "datasource"), ("namespace", "query")]
        for one in board.variables[1:]:
            assert one["includeAll"], one["name"]
            assert one["multi"], one["name"]
            assert one["datasource"]["uid"] == "${datasource}"
        for panel in board.panels:
            assert panel.style["datasource"]["uid"] == "${datasource}", panel.title


def links(thing: Any) -> Iterator[str]:
    if isinstance(thing, dict):
        if isinstance(thing.get("url"), str) and thing["url"]:
            yield thing["url"]
        for value in thing.values():
            yield from links(value)
    elif isinstance(thing, list):
        for value in thing:
            yield from links(value)


def test_every_metric_of_ours_is_one_that_the_code_has() -> None:
    """Also those that a test house without TLS, quotas or vLLM never shows."""
    places = ("services", "deploy/triton_backends/vlm")
    code = "".join(
        file.read_text("utf-8") for place in places for file in (ROOT / place).rglob("*.py")
    )
    expressions = [query.expression for _, panel in all_panels() for query in panel.queries]
    expressions += [str(rule["expr"]) for group in groups() for rule in group["rules"]]
    used = {
        name
        for text in expressions
        for name in re.findall(r"(?<![:\w])((?:kefu|gen_ai)_\w+)", re.sub(r'"[^"]*"', "", text))
    }
    assert len(used) > 40
    for name in used:
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        assert f'"{family}"' in code or f'"{name}"' in code, name


def test_links_lead_to_dashboards_that_are_there() -> None:
    uids = {board.uid for board in BOARDS}
    found = 0
    for file in sorted((GRAFANA / "dashboards").glob("*.json")):
        raw = json.loads(file.read_text("utf-8"))
        assert [(link["type"], link["tags"]) for link in raw["links"]] == [("dashboards", ["kefu"])]
        assert raw["tags"] == ["kefu"], "the links above find the dashboards by this tag"
        for url in links(raw["panels"]):
            assert re.fullmatch(r"/d/([\w-]+)\?.*", url), url
            assert url.split("/")[2].split("?")[0] in uids, url
            found += 1
    assert found >= 3


def test_the_runbook_and_the_alerts_name_panels_that_are_there() -> None:
    titles = {panel.title for _, panel in all_panels()}
    boards = {board.title for board in BOARDS}
    texts = [(ROOT / "docs/runbook.md").read_text("utf-8")]
    texts += [
        rule["annotations"]["runbook"]
        for group in groups()
        for rule in group["rules"]
        if "alert" in rule
    ]
    for text in texts:
        for quoted in re.findall(r"panel '([^']+)'", text):
            assert quoted in titles
        for named in re.findall(r"Kefu / [A-Z]\w+(?: \w+)*?(?=[,:.*;]|$| shows)", text):
            assert any(board.startswith(named) for board in boards), named


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.0042, "s", "4.2 ms"),
        (2.5, "s", "2.5 s"),
        (0.125, "percentunit", "12.5 %"),
        (1536, "bytes", "1.5 KiB"),
        (1536, "Bps", "1.5 KiB/s"),
        (12345, "short", "12.3 K"),
        (3, "reqps", "3 req/s"),
        (311.4, "watt", "311 W"),
    ],
)
def test_numbers_as_grafana_writes_them(value: float, unit: str, words: str) -> None:
    assert panels.shown(value, unit) == words


def test_the_recorded_gpus_are_read() -> None:
    """The exposition of the panels' test is one that the gateway's own reader understands."""

    registry = CollectorRegistry()
    figures = GpuFigures("http://127.0.0.1:1/metrics", registry)
    figures.read((ROOT / "tests/deploy/gpu_triton.prom").read_text("utf-8"))
    assert registry.get_sample_value("kefu_gpu_count") == 2
