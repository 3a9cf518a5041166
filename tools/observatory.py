"""Prometheus and Alertmanager on loopback, with the files of deploy/prometheus, and someone who hears the pager.

    async with Observatory.open(folder, {"kefu-gateway": ["127.0.0.1:9464"], …}) as sky:
        await sky.query("up")
        sky.heard                     # what Alertmanager sent, in order

The rules are those of production. `pace` shortens how long a condition must last (`for`) and Alertmanager's waits, and
nothing else: 2m at a pace of 0.05 is 6 s. Prometheus begins with an hour of ordinary traffic behind it, as it would
have anywhere but here: an alert on the failures of an hour would else take the first minute for one.
"""

from __future__ import annotations

import asyncio
import copy
import json
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tools.keeper import Keeper
from tools.prometheus_rule import FOLDER, groups

UNPACKED = Path(__file__).resolve().parents[1] / ".kefu/prometheus/usr/bin"
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


# What the hour before held: questions each second, and one of how many that failed.
_BEFORE_RATE, _BEFORE_FAILED = 5, 2000
_BEFORE_SECONDS, _BEFORE_STEP = 3600, 15


class NotInstalled(Exception):
    """There is no Prometheus or no Alertmanager on this machine; the text says what to install."""


@dataclass(frozen=True, slots=True)
class Programs:
    prometheus: str
    alertmanager: str
    promtool: str

    @classmethod
    def find(cls) -> Programs:
        """On the PATH, else what `./dev watch` unpacked. Raises NotInstalled."""
        prometheus = _which("prometheus")
        alertmanager = _which("prometheus-alertmanager", "alertmanager")
        promtool = _which("promtool")
        if prometheus is None or alertmanager is None or promtool is None:
            raise NotInstalled(
                "there is no Prometheus with Alertmanager here; "
                "Debian: apt-get install prometheus prometheus-alertmanager"
            )
        return cls(prometheus, alertmanager, promtool)


def _which(*names: str) -> str | None:
    for name in names:
        if found := shutil.which(name) or shutil.which(name, path=str(UNPACKED)):
            return found
    return None


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an answer: its labels, and its values as (seconds since 1970, value)."""

    labels: Mapping[str, str]
    values: Sequence[tuple[float, float]]

    @property
    def value(self) -> float:
        return self.values[-1][1]


@dataclass(frozen=True, slots=True)
class Notification:
    """One alert of one message from Alertmanager. `at`: time.monotonic()."""

    receiver: str
    status: str
    name: str
    summary: str
    at: float


@dataclass(slots=True)
class Observatory:
    """What runs, and what it said. `heard` grows while Alertmanager sends."""

    prometheus: str
    alertmanager: str
    keeper: Keeper
    heard: list[Notification] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        folder: Path,
        targets: Mapping[str, Sequence[str]],
        *,
        pace: float = 1.0,
        every: float = 1.0,
    ) -> AsyncIterator[Observatory]:
        """`targets`: addresses by job. `every`: seconds between two scrapes, and between two evaluations of the rules.
        Raises NotInstalled."""
        programs = Programs.find()
        folder.mkdir(parents=True, exist_ok=True)
        ports = free_ports(2)
        heard: list[Notification] = []
        with _Pager(heard) as pager:
            files = _Files(folder, targets, pace, every, ports[1], pager)
            await asyncio.to_thread(files.history, programs)
            async with Keeper(folder / "log") as keeper:
                await keeper.start("alertmanager", files.alertmanager(programs), {})
                await keeper.start("prometheus", files.prometheus(programs, ports[0]), {})
                sky = cls(
                    f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}", keeper, heard
                )
                await sky._ready()
                yield sky

    async def query(self, expression: str) -> list[Sample]:
        """The instant vector of an expression, now. Raises ValueError where Prometheus refuses it."""
        result = await self._ask("query", query=expression)
        return [Sample(one["metric"], [_pair(one["value"])]) for one in _series(result)]

    async def course(self, expression: str, start: float, end: float, step: float) -> list[Sample]:
        """The expression from `start` to `end` (seconds since 1970), a value every `step` seconds."""
        result = await self._ask("query_range", query=expression, start=start, end=end, step=step)
        return [
            Sample(one["metric"], [_pair(pair) for pair in one["values"]])
            for one in _series(result)
        ]

    async def alerts(self) -> dict[str, str]:
        """Alerts that are pending or firing in Prometheus, by name."""
        found: dict[str, str] = {}
        for one in (await self._ask("alerts"))["alerts"]:
            name = one["labels"]["alertname"]
            if found.get(name) != "firing":
                found[name] = one["state"]
        return found

    async def scraped(self) -> dict[str, str]:
        """What is wrong with each target ("" where nothing is), by job and address."""
        return {
            f"{one['labels']['job']} {one['labels']['instance']}": one["lastError"] or ""
            for one in (await self._ask("targets"))["activeTargets"]
            if one["health"] != "unknown"
        }

    async def _ask(self, what: str, **parameters: object) -> Any:
        url = f"{self.prometheus}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        return await asyncio.to_thread(_get, url)

    async def _ready(self, seconds: float = 30.0) -> None:
        waiting = [f"{self.prometheus}/-/ready", f"{self.alertmanager}/-/ready"]
        end = time.monotonic() + seconds
        while waiting:
            try:
                await asyncio.to_thread(_open, waiting[0])
                waiting.pop(0)
            except OSError:
                if time.monotonic() > end:
                    logs = "\n".join(self.keeper.tail(name) for name in self.keeper.kept)
                    raise TimeoutError(f"{waiting} did not come up\n{logs}") from None
                await asyncio.sleep(0.05)


@dataclass(slots=True)
class _Files:
    """The configurations, written from those of deploy/prometheus."""

    folder: Path
    targets: Mapping[str, Sequence[str]]
    pace: float
    every: float
    alertmanager_port: int
    pager: int

    def history(self, programs: Programs) -> None:
        """The hour before, as blocks of Prometheus's own storage: the series of a gateway that is gone by now."""
        end = int(time.time()) - _BEFORE_STEP
        lines = ["# TYPE kefu_questions counter"]
        for outcome, reason, every in (("answered", "", 1), ("failed", "INTERNAL", _BEFORE_FAILED)):
            labels = (
                'namespace="local",job="kefu-gateway",instance="before",'
                f'outcome="{outcome}",reason="{reason}"'
            )
            for second in range(0, _BEFORE_SECONDS, _BEFORE_STEP):
                count = second * _BEFORE_RATE // every
                at = end - _BEFORE_SECONDS + second
                lines.append(f"kefu_questions_total{{{labels}}} {count} {at}")
        file = self.folder / "before.om"
        file.write_text("\n".join([*lines, "# EOF", ""]), encoding="utf-8")
        store = self.folder / "prometheus"
        command = [programs.promtool, "tsdb", "create-blocks-from", "openmetrics", file, store]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)

    def prometheus(self, programs: Programs, port: int) -> list[str]:
        config = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))
        config["global"] = {
            "scrape_interval": f"{round(self.every * 1000)}ms",
            "evaluation_interval": f"{round(self.every * 1000)}ms",
            "scrape_timeout": f"{round(min(self.every, 10) * 1000)}ms",
        }
        (self.folder / "rules.yml").write_text(
            yaml.safe_dump({"groups": paced(groups(), self.pace)}), encoding="utf-8"
        )
        config["rule_files"] = ["rules.yml"]
        target = f"127.0.0.1:{self.alertmanager_port}"
        config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [target]}]}]
        for job in config["scrape_configs"]:
            job["static_configs"][0]["targets"] = list(self.targets[job["job_name"]])
        file = self.folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        return [
            programs.prometheus,
            f"--config.file={file}",
            f"--storage.tsdb.path={self.folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]

    def alertmanager(self, programs: Programs) -> list[str]:
        config = yaml.safe_load((FOLDER / "alertmanager.yml").read_text("utf-8"))
        route = config["route"]
        route["group_wait"] = _shorter(route["group_wait"], self.pace)
        # Only when a resolved alert is told depends on this one: sooner still.
        route["group_interval"] = _shorter(route["group_interval"], self.pace / 5)
        for receiver in config["receivers"]:
            for hook in receiver["webhook_configs"]:
                hook["url"] = f"http://127.0.0.1:{self.pager}/{receiver['name']}"
        file = self.folder / "alertmanager.yml"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        return [
            programs.alertmanager,
            f"--config.file={file}",
            f"--storage.path={self.folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{self.alertmanager_port}",
            "--cluster.listen-address=",  # one alone: it looks for no others
            "--log.level=warn",
        ]


def paced(rule_groups: Sequence[Mapping[str, Any]], pace: float) -> list[Any]:
    """The same rules with every `for` shortened."""
    made: list[Any] = copy.deepcopy(list(rule_groups))
    for group in made:
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = _shorter(rule["for"], pace)
    return made


def _shorter(duration: str, pace: float) -> str:
    parts = re.findall(r"(\d+)(ms|[smhd])", duration)
    seconds = sum(int(count) * _SECONDS[unit] for count, unit in parts)
    return f"{max(1, round(seconds * pace * 1000))}ms"


class _Pager:
    """Hears what Alertmanager sends to its webhooks; gives the port."""

    def __init__(self, heard: list[Notification]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                nonlocal heard
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                heard += [
                    Notification(
                        receiver=self.path.strip("/"),
                        status=alert["status"],
                        name=alert["labels"]["alertname"],
                        summary=alert["annotations"]["summary"],
                        at=time.monotonic(),
                    )
                    for alert in body["alerts"]
                ]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> int:
        self._thread.start()
        return self._server.server_port

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _open(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as response:
        body: bytes = response.read()
        return body


def _get(url: str) -> Any:
    try:
        return json.loads(_open(url))["data"]
    except urllib.error.HTTPError as refusal:
        raise ValueError(f"{url}: {refusal.read().decode()}") from None


def _series(result: Mapping[str, Any]) -> list[Any]:
    if result["resultType"] == "scalar":
        return [{"metric": {}, "value": result["result"]}]
    return list(result["result"])


def _pair(pair: Sequence[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])
