"""A real Prometheus and Alertmanager over the real services: every panel has a number, and an outage its one alert."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import pytest_asyncio

from tests.e2e.conftest import need_triton
from tests.e2e.road import eventually
from tools import panels
from tools.house import ROOT
from tools.observatory import NotInstalled, Programs
from tools.watch import Outage, Watch
from tools.watch_load import Load

pytestmark = [pytest.mark.triton, pytest.mark.asyncio(loop_scope="module")]
WINDOW = "20s"
# As `./dev watch`: 2m are 6 s. The conditions themselves are those of production.
PACE = 0.05


@contextmanager
def gpu_exporter() -> Iterator[str]:
    """A Triton with two GPUs and vLLM, as far as Prometheus can see; its address. Its counters count."""
    exposition = (ROOT / "tests/deploy/gpu_triton.prom").read_text("utf-8")
    counters = set(re.findall(r"^# TYPE (\w+) counter$", exposition, re.MULTILINE))
    began = time.monotonic()

    def counted(line: str) -> str:
        words, _, value = line.rpartition(" ")
        if words.partition("{")[0] not in counters:
            return line
        return f"{words} {float(value) * (1 + (time.monotonic() - began) / 1000)}"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            lines = [counted(line) for line in exposition.splitlines()]
            self.wfile.write(("\n".join(lines) + "\n").encode())

        def log_message(self, *arguments: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watch(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watch]:
    """Everything, under load."""
    need_triton()
    try:
        Programs.find()
    except NotInstalled as missing:
        pytest.skip(f"DASHBOARDS AND ALERTS NOT TESTED END TO END: {missing}")
    with gpu_exporter() as exporter:
        async with Watch.open(
            tmp_path_factory.mktemp("watch"),
            model="echo",
            pace=PACE,
            extra={"kefu-triton": exporter},
        ) as watch:
            await watch.house.ready(seconds=150)
            with Load(watch.house.gateway, "echo"):
                yield watch


async def test_all_targets_are_scraped(watch: Watch) -> None:
    async def scraped() -> bool:
        found = await watch.sky.scraped()
        return len(found) == 4 and not any(found.values())

    await eventually(scraped, "gateway, sidecar, Triton and the GPUs are scraped", seconds=60)


async def test_every_expression_returns_data(watch: Watch) -> None:
    """A renamed metric or label would leave a panel empty for good, and nobody would notice before an outage."""
    boards = panels.load()
    empty: dict[str, None] = {}

    async def all_there() -> bool:
        empty.clear()
        for board in boards:
            values = board.values(WINDOW)
            for panel in board.panels:
                for query in panel.queries:
                    one = panels.Panel(
                        panel.title, panel.kind, panel.unit, "", [query], panel.place, {}
                    )
                    if not await one.now(watch.sky, values):
                        empty[f"{board.title} | {panel.title} | {query.legend}"] = None
        return not empty

    try:
        await eventually(all_there, "every panel has a value", seconds=60)
    except AssertionError:
        pytest.fail("no data after a minute of load:\n" + "\n".join(empty))


async def test_every_variable_finds_its_values(watch: Watch) -> None:
    for board in panels.load():
        for one in board.variables:
            if one["type"] != "query":
                continue
            # label_values(series, label) is Grafana's own: the distinct values of a label of a series.
            inside = one["query"]["query"].removeprefix("label_values(").removesuffix(")")
            series, _, label = inside.rpartition(", ")
            filled = panels.Query(series, "").filled(board.values(WINDOW))
            found = await watch.sky.query(f"count by ({label}) ({filled})")
            assert all(sample.labels.get(label) for sample in found), (board.title, one["name"])
            assert found, (board.title, one["name"])
        assert board.annotations
        for mark in board.annotations:
            await watch.sky.query(mark.filled(board.values(WINDOW)))  # ValueError: refused


async def test_killing_triton_fires_its_alert_alone_and_it_resolves(watch: Watch) -> None:
    await watch.quiet(60)
    outage = Outage(watch, "triton")
    right = await outage.run(60)
    assert (outage.fired, outage.paged, outage.resolved) == (
        {"KefuTritonDown"},
        {"KefuTritonDown"},
        {"KefuTritonDown"},
    )
    assert right
    pagers = {one.receiver for one in watch.sky.heard if one.name == "KefuTritonDown"}
    assert pagers == {"pager"}, "a critical alert goes to the pager"


async def test_the_real_runs_summary_is_for_a_person(watch: Watch) -> None:
    """What Alertmanager sent has no unfilled template in it."""
    assert watch.sky.heard
    for one in watch.sky.heard:
        assert "local" in one.summary
        assert "{{" not in one.summary
