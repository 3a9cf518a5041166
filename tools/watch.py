"""`./dev watch`: everything with Prometheus and Alertmanager on loopback, load, and what the dashboards would show.

--kill shows an outage: which alert fires, that nothing else does, and that it resolves.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tools import panels
from tools.dashboard_picture import NoBrowser, draw
from tools.house import ROOT, House, Ports
from tools.models import gather
from tools.observatory import NotInstalled, Observatory
from tools.watch_load import Load

RUN = ROOT / ".kefu/watch"
# What stands for Grafana's rate interval: more than four scrapes, short enough for a run of a minute.
WINDOW = "15s"
# A dependency that fails is seen soon: production asks every 5 s.
QUICK = {"KEFU_GATEWAY_HEALTH_SECONDS": "1", "KEFU_PREPROCESS_WORKERS": "1"}
# Seconds of load after an outage: the picture shows that all is well again.
_AFTERWARDS = 20
ALERT_OF = {
    "triton": "KefuTritonDown",
    "preprocess": "KefuSidecarDown",
    "gateway": "KefuGatewayDown",
}


def say(text: str) -> None:
    print(text, flush=True)


@dataclass(slots=True)
class Watch:
    """The house, and what watches it."""

    house: House
    sky: Observatory
    started: float = field(default_factory=time.monotonic)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        folder: Path,
        *,
        model: str,
        pace: float,
        extra: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Watch]:
        """Starts everything; returns before it serves. `extra`: one more address to scrape, by job.
        Raises NotInstalled."""
        models = gather(folder, (model,))
        ports = Ports.free()
        targets = {
            "kefu-gateway": [f"127.0.0.1:{ports.gateway_metrics}"],
            "kefu-preprocess": [f"127.0.0.1:{ports.preprocess_metrics}"],
            "kefu-triton": [f"127.0.0.1:{ports.triton_metrics}"],
            "kefu-modelhost": [f"127.0.0.1:{ports.modelhost_metrics}"],
        }
        for job, address in (extra or {}).items():
            targets[job].append(address)
        async with (
            Observatory.open(folder / "observatory", targets, pace=pace) as sky,
            House.open(
                folder / "run",
                ports,
                models=models.names,
                repository=models.repository,
                weights=models.weights,
                environment={**QUICK, **(environment or {})},
            ) as house,
        ):
            yield cls(house, sky)

    async def quiet(self, seconds: float) -> None:
        """Returns when no alert is pending or firing: those of the start are over. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while await self.sky.alerts():
                await asyncio.sleep(0.2)


@dataclass(slots=True)
class Outage:
    """One process that is away. `fired`: what fired in Prometheus meanwhile; `paged`, `resolved`: what was sent out."""

    watch: Watch
    victim: str
    fired: set[str] = field(default_factory=set)
    paged: set[str] = field(default_factory=set)
    resolved: set[str] = field(default_factory=set)
    _states: dict[str, str] = field(default_factory=dict)
    _heard: int = 0
    _began: float = 0.0

    async def run(self, seconds: float) -> bool:
        """Kills, waits for the alert, lets it come back, waits until it is resolved. Whether the right alert alone
        fired and was resolved, each within `seconds`."""
        expected = ALERT_OF[self.victim]
        self._heard = len(self.watch.sky.heard)
        self._began = time.monotonic()
        with self._away():
            await self._until(lambda: expected in self.paged, seconds)
        say(f"==> {self.victim} may come back")
        back = await self._until(lambda: expected in self.resolved, seconds)
        # What comes late counts too: nothing may be on its way to fire any more.
        still = await self._until(lambda: not self._states, seconds)
        return back and still and self.fired == self.paged == {expected}

    @contextlib.contextmanager
    def _away(self) -> Iterator[None]:
        """Triton is killed, and its model host held so that nobody restarts it; the others are held themselves."""
        name = "modelhost" if self.victim == "triton" else self.victim
        held = self.watch.house.keeper.kept[name].pid
        os.kill(held, signal.SIGSTOP)
        try:
            if self.victim == "triton":
                status = json.loads((self.watch.house.folder / "triton/status.json").read_text())
                os.kill(status["triton_pid"], signal.SIGKILL)
                say(f"==> Triton killed (pid {status['triton_pid']}); its model host is held")
            else:
                say(f"==> {name} is held (pid {held}): it neither dies nor answers")
            yield
        finally:
            os.kill(held, signal.SIGCONT)

    async def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            await self._look()
            await asyncio.sleep(0.2)
        return True

    async def _look(self) -> None:
        states = await self.watch.sky.alerts()
        for name, state in states.items():
            if self._states.get(name) != state:
                self._tell(f"Prometheus    {name} is {state}")
            if state == "firing":
                self.fired.add(name)
        for name in self._states.keys() - states.keys():
            self._tell(f"Prometheus    {name} is over")
        self._states = states
        for one in self.watch.sky.heard[self._heard :]:
            self._tell(f"Alertmanager  → {one.receiver}: {one.name} {one.status}: {one.summary}")
            (self.paged if one.status == "firing" else self.resolved).add(one.name)
            self._heard += 1

    def _tell(self, text: str) -> None:
        say(f"  +{time.monotonic() - self._began:5.1f} s  {text}")


async def show(sky: Observatory) -> list[str]:
    """Prints every panel with its number; the titles of those without one."""
    empty = []
    for dashboard in panels.load():
        say(f"\n{dashboard.title}")
        values = dashboard.values(WINDOW)
        for panel in dashboard.panels:
            series = await panel.now(sky, values)
            if not series:
                empty.append(f"{dashboard.title}: {panel.title}")
            say(f"  {panel.title:<30} {panels.line(panel, series)}")
    return empty


async def _watch(options: argparse.Namespace) -> int:
    shutil.rmtree(RUN, ignore_errors=True)
    say(f"==> starting Triton with {options.model}, sidecar, gateway, Prometheus, Alertmanager")
    async with Watch.open(RUN, model=options.model, pace=options.pace) as watch:
        if not await _serving(watch):
            return 1
        say(f"  Prometheus    {watch.sky.prometheus}\n  Alertmanager  {watch.sky.alertmanager}")
        watch.started = time.monotonic()
        with Load.fit_for(watch.house.gateway, options.model) as load:
            await watch.quiet(60)
            say(f"==> load for {options.seconds} s")
            await _progress(load, options.seconds)
            await show(watch.sky)
            code = 0
            if options.kill:
                say("")
                code = await _kill(watch, options.kill)
                await _progress(load, _AFTERWARDS)
            if options.picture:
                await draw(watch.sky, options.picture, WINDOW, time.monotonic() - watch.started)
                say(f"\n==> {options.picture}")
            if options.stay:
                say("\nstays until Ctrl-C")
                await asyncio.Event().wait()
    return code


async def _kill(watch: Watch, victim: str) -> int:
    try:
        await watch.quiet(120)
    except TimeoutError:
        say(f"not killed: there are alerts already: {await watch.sky.alerts()}")
        return 1
    outage = Outage(watch, victim)
    right = await outage.run(90)
    others = sorted((outage.fired | outage.paged) - {ALERT_OF[victim]})
    say(
        f"\n{'right' if right else 'WRONG'}: fired {', '.join(sorted(outage.fired)) or 'nothing'}; "
        f"sent out {', '.join(sorted(outage.paged)) or 'nothing'}; "
        f"resolved {', '.join(sorted(outage.resolved)) or 'nothing'}; "
        f"beside it {', '.join(others) or 'nothing'}"
    )
    return 0 if right else 1


async def _serving(watch: Watch, seconds: float = 240.0) -> bool:
    start, told = time.monotonic(), None
    while missing := await watch.house.missing():
        if missing != told:
            say(f"  starting: waiting for {', '.join(missing)}")
            told = missing
        if time.monotonic() - start > seconds:
            for name in watch.house.keeper.kept:
                say(f"--- the end of {name}'s log\n{watch.house.keeper.tail(name)}")
            return False
        await asyncio.sleep(0.25)
    say(f"  everything serves after {time.monotonic() - start:.1f} s")
    return True


async def _progress(load: Load, seconds: int) -> None:
    for second in range(seconds):
        await asyncio.sleep(1)
        if second % 10 == 9:
            say(
                f"  {second + 1:4} s  {load.answered} answered, {load.refused} refused, {load.failed} failed"
            )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev watch",
        description="Starts everything with Prometheus and Alertmanager on loopback, sends load, and prints every "
        "dashboard panel with the number that it would show.",
    )
    parser.add_argument(
        "--model",
        choices=("echo", "reader"),
        default="echo",
        help="echo answers at once with the question's own words (default); reader answers for real",
    )
    parser.add_argument(
        "--seconds", type=int, default=45, help="of load before the panels are read (default 45)"
    )
    parser.add_argument(
        "--kill",
        choices=tuple(ALERT_OF),
        help="then make this process fail: shows which alerts fire, and that they resolve",
    )
    parser.add_argument(
        "--pace",
        type=float,
        help="shortens how long an alert's condition must last, and nothing else: 2m at 0.05 is 6 s "
        "(default 0.05, and 0.15 with the reader, which takes longer to come back)",
    )
    parser.add_argument(
        "--picture", type=Path, metavar="PNG", help="draw the dashboard 'On call' (needs chromium)"
    )
    parser.add_argument("--stay", action="store_true", help="stay until Ctrl-C")
    options = parser.parse_args()
    if options.pace is None:
        options.pace = 0.05 if options.model == "echo" else 0.15
    return options


async def _main(options: argparse.Namespace) -> int:
    loop = asyncio.get_running_loop()
    running = asyncio.create_task(_watch(options))

    def stop() -> None:
        say("\nstopping: callers hear their answers first")
        running.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        return await running
    except asyncio.CancelledError:
        say("\nstopped; nothing is left behind")
        return 130
    except (NotInstalled, NoBrowser) as missing:
        print(f"dev watch: {missing}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(_arguments())))
