"""What every dashboard is made of: the same variables, links, colours and kinds of panels.

Expressions are written short: `NS` stands for the namespace filter, `MODEL` and `VLM` for the model filter under its
two label names (the gateway's OpenTelemetry name, the backend's own), `[W]` for Grafana's own rate window.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.models import common, dashboard

SOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
TAG = "kefu"
_SHORT = (
    (r"\bNS\b", 'namespace=~"$namespace"'),
    (r"\bMODEL\b", 'gen_ai_request_model=~"$model"'),
    (r"\bVLM\b", 'model=~"$model"'),
    (r"\[W\]", "[$__rate_interval]"),
)


class Query(NamedTuple):
    """One expression, and how its series are called; `{{label}}` is the value of a label."""

    expression: str
    legend: str


class Step(NamedTuple):
    """From `value` on a panel has this colour."""

    value: float | None
    color: str


GREEN, YELLOW, RED = "green", "orange", "red"
CALM = (Step(None, "text"),)


def rising(warn: float, bad: float) -> tuple[Step, ...]:
    """The more, the worse."""
    return (Step(None, GREEN), Step(warn, YELLOW), Step(bad, RED))


def falling(bad: float, warn: float) -> tuple[Step, ...]:
    """The less, the worse."""
    return (Step(None, RED), Step(bad, YELLOW), Step(warn, GREEN))


def expand(expression: str) -> str:
    for short, long in _SHORT:
        expression = re.sub(short, long, expression)
    return expression


def quantile(q: float, histogram: str, labels: str = "NS", by: str = "") -> str:
    """The quantile of a histogram's rate; `by` is one more label to keep."""
    keep = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({keep}) (rate({histogram}_bucket{{{labels}}}[W])))"


def mean(histogram: str, labels: str = "NS", by: str = "") -> str:
    group = f" by ({by})" if by else ""
    return (
        f"sum{group} (rate({histogram}_sum{{{labels}}}[W]))"
        f" / sum{group} (rate({histogram}_count{{{labels}}}[W]))"
    )


def number(
    title: str,
    description: str,
    unit: str,
    expression: str,
    *,
    steps: tuple[Step, ...] = CALM,
    width: int = 4,
    decimals: int | None = None,
    open_with: str | None = None,
    none: str = "no traffic",
) -> stat.Panel:
    """One figure, with its course behind it. `open_with`: uid of the dashboard that a click opens."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(SOURCE)
        .height(4)
        .span(width)
        .no_value(none)
        .thresholds(_thresholds(steps))
        .graph_mode(common.BigValueGraphMode.AREA)
        .color_mode(
            common.BigValueColorMode.NONE if steps == CALM else common.BigValueColorMode.VALUE
        )
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(_target(Query(expression, title), 0))
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    if open_with is not None:
        panel = panel.data_links([_link("details", open_with)])
    return panel


def lines(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    width: int = 12,
    height: int = 8,
    stacked: bool = False,
    most: float | None = None,
    steps: tuple[Step, ...] | None = None,
    table: bool = False,
    logarithmic: bool = False,
    colors: Mapping[str, str] | None = None,
) -> timeseries.Panel:
    """Courses over time. `most`: the top of the axis; `table`: the legend shows the last and the largest value;
    `logarithmic`: for values far apart, such as seconds and what was promised; `colors`: of series with a meaning."""
    legend = (
        common_builders.VizLegendOptions()
        .show_legend(True)
        .placement(common.LegendPlacement.BOTTOM)
        .display_mode(common.LegendDisplayMode.TABLE if table else common.LegendDisplayMode.LIST)
        .calcs(["lastNotNull", "max"] if table else [])
    )
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(SOURCE)
        .height(height)
        .span(width)
        .line_width(1)
        .fill_opacity(25 if stacked else 8)
        .show_points(common.VisibilityMode.NEVER)
        .legend(legend)
        .tooltip(
            common_builders.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
    )
    if logarithmic:
        scale = common_builders.ScaleDistributionConfig().type(common.ScaleDistribution.LOG)
        panel = panel.scale_distribution(scale.log(10))
    else:
        panel = panel.min(0)
    if most is not None:
        panel = panel.max(most)
    if stacked:
        panel = panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    if steps is not None:
        panel = panel.thresholds(_thresholds(steps)).thresholds_style(
            common_builders.GraphThresholdsStyleConfig().mode(
                common.GraphThresholdsStyleMode.DASHED
            )
        )
    for name, color in (colors or {}).items():
        fixed = {"mode": "fixed", "fixedColor": color}
        panel = panel.override_by_name(name, [dashboard.DynamicConfigValue("color", fixed)])
    for place, query in enumerate(queries):
        panel = panel.with_target(_target(query, place))
    return panel


def states(title: str, description: str, query: Query, *, width: int = 12) -> statetimeline.Panel:
    """What is up (1) and down (0), over time."""
    mapping = dashboard.ValueMap(
        {
            "0": dashboard.ValueMappingResult(text="down", color=RED, index=0),
            "1": dashboard.ValueMappingResult(text="up", color=GREEN, index=1),
        }
    )
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .height(8)
        .span(width)
        .mappings([mapping])
        .thresholds(_thresholds((Step(None, RED), Step(1, GREEN))))
        .color_scheme(builders.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        .merge_values(True)
        .show_value(common.VisibilityMode.NEVER)
        .row_height(0.8)
        .legend(
            common_builders.VizLegendOptions()
            .show_legend(False)
            .placement(common.LegendPlacement.BOTTOM)
            .display_mode(common.LegendDisplayMode.LIST)
            .calcs([])
        )
        .with_target(_target(query, 0))
    )


def page(uid: str, title: str, description: str, *, model: bool = False) -> builders.Dashboard:
    """An empty dashboard with what all have: data source, namespace, model where it helps, links to the others."""
    made = (
        builders.Dashboard(f"Kefu / {title}")
        .uid(uid)
        .description(description)
        .tags([TAG])
        .timezone("browser")
        .time("now-3h", "now")
        .refresh("30s")
        .readonly()
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .link(
            builders.DashboardLink("Kefu")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(False)
            .include_vars(True)
            .keep_time(True)
        )
        .annotation(_deployments())
        .with_variable(
            builders.DatasourceVariable("datasource").label("Data source").type("prometheus")
        )
        .with_variable(
            _choice("namespace", "Namespace", "label_values(kefu_build_info, namespace)")
        )
    )
    if model:
        counter = 'gen_ai_server_request_duration_seconds_count{namespace=~"$namespace"}'
        query = f"label_values({counter}, gen_ai_request_model)"
        made = made.with_variable(_choice("model", "Model", query))
    return made


def chooser(name: str, label: str, query: str) -> builders.QueryVariable:
    """One more variable; all of its values are chosen at first."""
    return _choice(name, label, query)


def _choice(name: str, label: str, query: str) -> builders.QueryVariable:
    return (
        builders.QueryVariable(name)
        .label(label)
        .query(
            {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"}
        )
        .datasource(SOURCE)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(dashboard.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def _deployments() -> builders.AnnotationQuery:
    """A mark where a gateway started."""
    return (
        builders.AnnotationQuery()
        .name("Gateway started")
        .datasource(SOURCE)
        .enable(True)
        .icon_color("blue")
        .expr(
            expand('changes(process_start_time_seconds{job="kefu-gateway", NS}[$__interval]) > 0')
        )
    )


def _link(title: str, uid: str) -> builders.DashboardLink:
    url = f"/d/{uid}?${{__url_time_range}}&${{datasource:queryparam}}&${{namespace:queryparam}}"
    return builders.DashboardLink(title).url(url)


def _target(query: Query, place: int) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery()
        .expr(expand(query.expression))
        .legend_format(query.legend)
        .datasource(SOURCE)
        .range()
        .ref_id(chr(ord("A") + place))
    )


def _thresholds(steps: tuple[Step, ...]) -> builders.ThresholdsConfig:
    return (
        builders.ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([dashboard.Threshold(step.value, step.color) for step in steps])
    )
