"""A dashboard as a picture: its own JSON, the numbers of a real Prometheus, drawn by this file. It is not Grafana.

    await draw(sky, Path("docs/dashboard.png"), window="30s", seconds=90)

Only what our dashboards use is drawn: stat, time series, state timeline; places, units, thresholds and legends as the
JSON says. Chromium makes the picture of the page.
"""

from __future__ import annotations

import asyncio
import html
import io
import math
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from tools.observatory import Observatory
from tools.panels import Dashboard, Panel, Series, load, shown

WIDTH = 1440
_COLUMN = WIDTH / 24
_ROW = 34
_GAP = 8
_COLORS = ("#73BF69", "#F2CC0C", "#8AB8FF", "#FF780A", "#F2495C", "#B877D9", "#5794F2", "#FFA6B0")
_GROUND = "#181b1f"
_NAMED = {"green": "#73BF69", "orange": "#FF9830", "red": "#F2495C", "text": "#D8D9DA"}
_STYLE = """
body{margin:0;background:#111217;color:#d8d9da;font:12px Inter,Roboto,'DejaVu Sans',sans-serif;position:relative}
h1{font-size:17px;font-weight:500;margin:0;padding:12px 16px 0}
p{margin:0;padding:2px 16px;color:#8e8e99}
.panel{position:absolute;background:#181b1f;border:1px solid #25282d;border-radius:2px;overflow:hidden}
.title{padding:6px 10px;font-weight:500;white-space:nowrap}
.big{position:absolute;left:0;right:0;top:40px;text-align:center;font-size:34px;font-weight:500}
.legend{position:absolute;left:12px;right:12px;bottom:6px;color:#b0b0b8;font-size:11px;line-height:16px}
.legend span{display:inline-block;margin-right:14px;white-space:nowrap}
.legend b{display:inline-block;width:12px;height:3px;margin-right:5px;vertical-align:middle}
svg{position:absolute;left:0}
"""


class NoBrowser(Exception):
    """There is no chromium on this machine; the text says what to install."""


async def draw(
    sky: Observatory, target: Path, window: str, seconds: float, uid: str = "kefu-oncall"
) -> None:
    """Writes the PNG of the last `seconds` of a dashboard. Raises NoBrowser."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise NoBrowser("there is no chromium here; Debian: apt-get install chromium")
    board = next(board for board in load() if board.uid == uid)
    end = time.time()
    span = (end - seconds, end, max(1.0, seconds / 240))
    values = board.values(window)
    drawn = [(panel, await panel.course(sky, values, span)) for panel in board.panels]
    text, height = page(board, drawn, span)
    await _photograph(browser, text, height, target)


def page(
    board: Dashboard,
    drawn: Sequence[tuple[Panel, Sequence[Series]]],
    span: tuple[float, float, float],
) -> tuple[str, int]:
    """The dashboard as HTML, and its height in pixels."""
    top = 62
    bottom = max(panel.place[1] + panel.place[3] for panel, _ in drawn)
    panels = "".join(_panel(panel, series, span, top) for panel, series in drawn)
    words = (
        f"{span[1] - span[0]:.0f} s of ./dev watch · drawn from deploy/grafana/dashboards/{board.uid}.json and a real"
        " Prometheus by tools/dashboard_picture.py, not by Grafana"
    )
    text = (
        f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style>"
        f"<h1>{html.escape(board.title)}</h1><p>{html.escape(words)}</p>{panels}"
    )
    return text, int(top + bottom * _ROW + _GAP)


def _panel(
    panel: Panel, series: Sequence[Series], span: tuple[float, float, float], top: int
) -> str:
    x, y, columns, rows = panel.place
    left, width = x * _COLUMN + _GAP / 2, columns * _COLUMN - _GAP
    height = rows * _ROW - _GAP
    inside = {"stat": _stat, "state-timeline": _states}.get(panel.kind, _lines)(
        panel, series, span, width, height
    )
    return (
        f'<div class=panel style="left:{left:.0f}px;top:{top + y * _ROW}px;'
        f'width:{width:.0f}px;height:{height}px">'
        f"<div class=title>{html.escape(panel.title)}</div>{inside}</div>"
    )


def _stat(
    panel: Panel,
    series: Sequence[Series],
    span: tuple[float, float, float],
    width: float,
    height: float,
) -> str:
    there = [value for one in series for _, value in one.sample.values if not math.isnan(value)]
    if not there:
        return "<div class=big>–</div>"
    color = _threshold(panel, there[-1])
    lines = "".join(
        _path(run, span, (0, width), (height * 0.62, height - 4), 0, max([*there, 1e-9]), color)
        for one in series
        for run in _runs(one)
    )
    return (
        f'<svg width="{width:.0f}" height="{height}" style="top:0">{lines}</svg>'
        f'<div class=big style="color:{color}">{html.escape(shown(there[-1], panel.unit))}</div>'
    )


def _lines(
    panel: Panel,
    series: Sequence[Series],
    span: tuple[float, float, float],
    width: float,
    height: float,
) -> str:
    custom = panel.style["fieldConfig"]["defaults"].get("custom", {})
    stacked = custom.get("stacking", {}).get("mode") == "normal"
    courses = _stack(series) if stacked else [dict(one.sample.values) for one in series]
    seen = [value for course in courses for value in course.values() if not math.isnan(value)]
    most = panel.style["fieldConfig"]["defaults"].get("max") or _ceiling(max([*seen, 0.0]))
    least = 0.0
    if custom.get("scaleDistribution", {}).get("type") == "log":
        # Drawn in powers of ten; the axis says what they are.
        courses = [{at: _power(value) for at, value in course.items()} for course in courses]
        least = math.floor(_power(min([value for value in seen if value > 0], default=1.0)))
        most = max(math.ceil(_power(max([*seen, 10**least]))), least + 1)
    shown_in_legend, rest = _legend(series)
    legend_rows = 2 if len(shown_in_legend) > 3 else 1
    box = ((58.0, width - 14), (34.0, height - 26 - 16 * legend_rows))
    parts = list(_axes(panel.unit, span, box, (least, most)))
    order = list(enumerate(courses))
    for place, course in reversed(order) if stacked else order:
        color = _color(panel, series[place].name, place)
        parts += [
            _path(run, span, *box, least, most, color, filled=stacked, hiding=stacked)
            for run in _broken(sorted(course.items()), span[2])
        ]
    names = "".join(
        f'<span><b style="background:{_color(panel, one.name, place)}"></b>{html.escape(one.name)}'
        f"{_last(one, panel)}</span>"
        for place, one in shown_in_legend
    )
    names += f"<span>{rest} more at 0</span>" if rest else ""
    return (
        f'<svg width="{width:.0f}" height="{height}" style="top:0">{"".join(parts)}</svg>'
        f"<div class=legend>{names}</div>"
    )


def _states(
    panel: Panel,
    series: Sequence[Series],
    span: tuple[float, float, float],
    width: float,
    height: float,
) -> str:
    left, right, top = 130.0, width - 14, 40.0
    each = (height - top - 30) / max(1, len(series))
    parts = []
    for place, one in enumerate(sorted(series, key=lambda one: one.name)):
        y = top + place * each
        parts.append(
            f'<text x="{left - 8}" y="{y + each / 2 + 4:.0f}" text-anchor="end" fill="#b0b0b8" '
            f'font-size="11">{html.escape(one.name)}</text>'
        )
        for at, value in one.sample.values:
            x = left + (at - span[0]) / (span[1] - span[0]) * (right - left)
            wide = span[2] / (span[1] - span[0]) * (right - left) + 0.6
            color = _NAMED["green"] if value >= 1 else _NAMED["red"]
            parts.append(
                f'<rect x="{x:.1f}" y="{y + 3:.1f}" width="{min(wide, right - x + 0.6):.1f}" '
                f'height="{each - 6:.1f}" fill="{color}" shape-rendering="crispEdges"/>'
            )
    box = ((left, right), (top, height - 30.0))
    parts += _times(span, box)
    return f'<svg width="{width:.0f}" height="{height}" style="top:0">{"".join(parts)}</svg>'


Box = tuple[tuple[float, float], tuple[float, float]]


def _axes(
    unit: str, span: tuple[float, float, float], box: Box, ends: tuple[float, float]
) -> Iterator[str]:
    """`ends` of the axis; whole powers of ten where the lower one is not 0."""
    (left, right), (top, bottom) = box
    least, most = ends
    powers = least != 0
    count = round(most - least) if powers else 4
    for step in range(count + 1):
        y = bottom - step / count * (bottom - top)
        yield f'<path d="M{left} {y:.1f}H{right:.1f}" stroke="#2a2d33"/>'
        words = html.escape(shown(10 ** (least + step) if powers else most * step / count, unit))
        yield (
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#8e8e99" '
            f'font-size="10">{words}</text>'
        )
    yield from _times(span, box)


def _times(span: tuple[float, float, float], box: Box) -> Iterator[str]:
    (left, right), (_, bottom) = box
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        back = (span[1] - span[0]) * (1 - share)
        words = "now" if share == 1 else f"−{back:.0f} s"
        yield (
            f'<text x="{left + share * (right - left):.0f}" y="{bottom + 14:.0f}" '
            f'text-anchor="middle" fill="#8e8e99" font-size="10">{words}</text>'
        )


def _path(
    run: Sequence[tuple[float, float]],
    span: tuple[float, float, float],
    xs: tuple[float, float],
    ys: tuple[float, float],
    least: float,
    most: float,
    color: str,
    *,
    filled: bool = True,
    hiding: bool = False,
) -> str:
    """`hiding`: what lies behind the area is not seen through it."""
    points = []
    for at, value in run:
        x = xs[0] + (at - span[0]) / (span[1] - span[0]) * (xs[1] - xs[0])
        share = min(1.0, max(0.0, (value - least) / (most - least or 1)))
        points.append(f"{x:.1f} {ys[1] - share * (ys[1] - ys[0]):.1f}")
    line = f'<path d="M{"L".join(points)}" fill="none" stroke="{color}" stroke-width="1.4"/>'
    if not filled:
        return line
    first, last = points[0].split()[0], points[-1].split()[0]
    area = f"M{'L'.join(points)}L{last} {ys[1]:.1f}L{first} {ys[1]:.1f}Z"
    behind = f'<path d="{area}" fill="{_GROUND}"/>' if hiding else ""
    return f'{behind}<path d="{area}" fill="{color}" fill-opacity="0.22"/>{line}'


def _stack(series: Sequence[Series]) -> list[dict[float, float]]:
    """Each course on top of those before it."""
    height: dict[float, float] = {}
    stacked = []
    for one in series:
        for at, value in one.sample.values:
            height[at] = height.get(at, 0.0) + (0.0 if math.isnan(value) else value)
        stacked.append({at: height[at] for at, _ in one.sample.values})
    return stacked


def _runs(one: Series) -> Iterator[list[tuple[float, float]]]:
    yield from _broken(one.sample.values, math.inf)


def _broken(
    values: Sequence[tuple[float, float]], step: float
) -> Iterator[list[tuple[float, float]]]:
    """The pieces between gaps: a value that is not there is no line to the next one."""
    run: list[tuple[float, float]] = []
    for at, value in values:
        if run and (math.isnan(value) or at - run[-1][0] > 2 * step):
            yield run
            run = []
        if not math.isnan(value):
            run.append((at, value))
    if run:
        yield run


def _color(panel: Panel, name: str, place: int) -> str:
    """The one that the dashboard fixes for a name, else the next of the palette."""
    for override in panel.style["fieldConfig"]["overrides"]:
        if override["matcher"] == {"id": "byName", "options": name}:
            fixed: str = _NAMED[override["properties"][0]["value"]["fixedColor"]]
            return fixed
    return _COLORS[place % len(_COLORS)]


def _power(value: float) -> float:
    return math.log10(value) if value > 0 else math.nan


def _legend(series: Sequence[Series]) -> tuple[list[tuple[int, Series]], int]:
    """Whom the legend names, with their places; and how many lie at 0 and are only counted, where there are many."""
    named = list(enumerate(series))
    if len(series) <= 4:
        return named, 0
    busy = [
        (place, one) for place, one in named if any(value > 0 for _, value in one.sample.values)
    ]
    return busy[:6], len(named) - len(busy)


def _ceiling(value: float) -> float:
    """A round number above it."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value)


def _threshold(panel: Panel, value: float) -> str:
    color = "text"
    for step in panel.style["fieldConfig"]["defaults"]["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            color = step["color"]
    return _NAMED[color]


def _last(one: Series, panel: Panel) -> str:
    there = [value for _, value in one.sample.values if not math.isnan(value)]
    table = panel.style["options"]["legend"].get("displayMode") == "table"
    return html.escape(f"  {shown(there[-1], panel.unit)}") if table and there else ""


async def _photograph(browser: str, text: str, height: int, target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, raw = Path(folder) / "page.html", Path(folder) / "page.png"
        source.write_text(text, encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            browser,
            "--headless",
            "--no-sandbox",  # the page is ours, and CI runs as root
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={folder}/profile",
            f"--window-size={WIDTH},{height}",
            f"--screenshot={raw}",
            source.as_uri(),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await asyncio.wait_for(process.wait(), 60)
        with Image.open(raw) as picture:
            # Few colours: a third of the bytes, and nobody sees it.
            small = picture.convert("RGB").quantize(96, dither=Image.Dither.NONE)
        out = io.BytesIO()
        small.save(out, "PNG", optimize=True)
        target.write_bytes(out.getvalue())
