"""Two models in one server: when the process of one dies, the other does not notice."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path

import pytest

from kefu_modelhost.orphans import processes, recorded
from tests.fixtures.triton import ROOT, WEIGHTS, running, until

pytestmark = pytest.mark.triton


async def test_only_the_dead_model_is_loaded_again(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    twin = tmp_path / "models/twin"
    shutil.copytree(ROOT / "tests/models/echo", twin)
    for name in ("config.pbtxt", "1/model.json"):
        path = twin / name
        path.write_text(path.read_text().replace('"echo"', '"twin"', 1))
    card = twin / "1/model.json"
    assert '"engine": "echo"' in card.read_text()
    request.addfinalizer(lambda: shutil.rmtree(WEIGHTS / "twin", ignore_errors=True))
    with running(tmp_path / "run", ("echo", "twin"), repositories=(tmp_path / "models",)) as host:
        run = recorded(host.folder / "run.json")
        assert run is not None
        server = host.status()["triton_pid"]
        mine = next(
            pid for pid in processes(run) if b"/twin/" in Path(f"/proc/{pid}/cmdline").read_bytes()
        )
        steady = asyncio.create_task(
            host.ask("echo", "@echo tokens=300 token_ms=20\nx", max_tokens=400)
        )
        await until(lambda: host.metric("kefu_vlm_active_requests", "echo") == 1, 10)
        os.kill(mine, signal.SIGKILL)
        await until(lambda: host.status()["reloads"] == 1 and host.status()["state"] == "ready", 30)
        assert (await host.ask("twin", "back")).text == "back"
        assert (await steady).text == "x" * 300
        assert host.status()["triton_pid"] == server
        assert host.status()["starts"] == 1
