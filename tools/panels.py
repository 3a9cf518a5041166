"""The dashboards' panels with the numbers that they would show: Grafana's JSON, a real Prometheus, and no Grafana.

for dashboard in load():
    for panel in dashboard.panels:
        print(panel.title, await panel.now(sky))
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.observatory import Observatory, Sample

FOLDER = Path(__file__).resolve().parents[1] / "deploy/grafana/dashboards"
# Stands for a value that is not there.
NONE = "–"
_MORE = 4


@dataclass(frozen=True, slots=True)
class Query:
    """An expression as the JSON has it, and the form of its series' names."""

    expression: str
    legend: str

    def filled(self, values: Mapping[str, str]) -> str:
        """With every variable replaced. Raises KeyError for one that is not in `values`."""
        return re.sub(r"\$\{?(\w+)\}?", lambda found: values[found[1]], self.expression)

    def name(self, labels: Mapping[str, str]) -> str:
        return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), self.legend)


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a panel."""

    name: str
    sample: Sample


@dataclass(frozen=True, slots=True)
class Panel:
    """`place`: x, y, width, height in Grafana's grid of 24 columns; `style`: the rest of the JSON."""

    title: str
    kind: str
    unit: str
    description: str
    queries: Sequence[Query]
    place: tuple[int, int, int, int]
    style: Mapping[str, Any]

    async def now(self, sky: Observatory, values: Mapping[str, str]) -> list[Series]:
        """What the panel shows at this moment; series without a value (NaN) are left out, as Grafana does."""
        return [
            Series(query.name(sample.labels), sample)
            for query in self.queries
            for sample in await sky.query(query.filled(values))
            if not math.isnan(sample.value)
        ]

    async def course(
        self, sky: Observatory, values: Mapping[str, str], span: tuple[float, float, float]
    ) -> list[Series]:
        """The same over a span: start, end (seconds since 1970) and step (seconds)."""
        return [
            Series(query.name(sample.labels), sample)
            for query in self.queries
            for sample in await sky.course(query.filled(values), *span)
        ]


@dataclass(frozen=True, slots=True)
class Dashboard:
    uid: str
    title: str
    panels: Sequence[Panel]
    variables: Sequence[Mapping[str, Any]]
    annotations: Sequence[Query]

    def values(self, window: str) -> dict[str, str]:
        """Every variable at its first choice: all namespaces, all models; `window` is Grafana's rate interval."""
        chosen = {"__rate_interval": window, "__interval": window}
        for variable in self.variables:
            if variable["type"] == "query":
                chosen[variable["name"]] = variable["allValue"]
        return chosen


def load(folder: Path = FOLDER) -> list[Dashboard]:
    """All dashboards, the one for the person on call first."""
    files = sorted(folder.glob("*.json"), key=lambda file: (file.stem != "kefu-oncall", file.name))
    return [_dashboard(json.loads(file.read_text("utf-8"))) for file in files]


def _dashboard(raw: Mapping[str, Any]) -> Dashboard:
    return Dashboard(
        uid=raw["uid"],
        title=raw["title"],
        panels=[_panel(one) for one in raw["panels"]],
        variables=raw["templating"]["list"],
        annotations=[Query(one["expr"], one["name"]) for one in raw["annotations"]["list"]],
    )


def _panel(raw: Mapping[str, Any]) -> Panel:
    grid = raw["gridPos"]
    return Panel(
        title=raw["title"],
        kind=raw["type"],
        unit=raw["fieldConfig"]["defaults"].get("unit", "short"),
        description=raw.get("description", ""),
        queries=[Query(one["expr"], one["legendFormat"]) for one in raw["targets"]],
        place=(grid.get("x", 0), grid.get("y", 0), grid["w"], grid["h"]),
        style=raw,
    )


def line(panel: Panel, series: Sequence[Series]) -> str:
    """One line of text: the panel's largest values by name."""
    if not series:
        none: str = panel.style["fieldConfig"]["defaults"].get("noValue", "nothing to show")
        return f"{NONE} ({none})"
    if len(series) == 1 and panel.kind == "stat":
        return shown(series[0].sample.value, panel.unit)
    ranked = sorted(series, key=lambda one: -one.sample.value)
    parts = [_named(one, panel) for one in ranked[:_MORE]]
    more = f"  (+{len(ranked) - _MORE})" if len(ranked) > _MORE else ""
    return "   ".join(parts) + more


def _named(one: Series, panel: Panel) -> str:
    value = one.sample.value
    if panel.kind == "state-timeline":
        return f"{one.name} {'up' if value >= 1 else 'DOWN'}"
    return f"{one.name} {shown(value, panel.unit)}"


def shown(value: float, unit: str) -> str:
    """A number as Grafana writes it in a unit: s, reqps, percentunit, bytes, Bps, watt, short."""
    match unit:
        case "s":
            return _seconds(value)
        case "percentunit":
            return f"{value * 100:.3g} %"
        case "reqps":
            return f"{value:.3g} req/s"
        case "bytes" | "Bps":
            return _bytes(value) + ("/s" if unit == "Bps" else "")
        case "watt":
            return f"{value:.3g} W"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value / 1000:.3g} K"


def _seconds(value: float) -> str:
    if value == 0:
        return "0 s"
    if abs(value) < 0.001:
        return f"{value * 1e6:.3g} µs"
    return f"{value * 1000:.3g} ms" if abs(value) < 1 else f"{value:.3g} s"


def _bytes(value: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.3g} {unit}"
        value /= 1024
    return f"{value:.3g} TiB"
