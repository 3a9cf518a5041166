"""A model that loads slowly, cannot be loaded, or loses its engine; with the echo model, which does as it is told."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.utils import InferenceServerException

from kefu.modelhost.v1 import status_service_pb2 as pb
from kefu.modelhost.v1 import status_service_pb2_grpc
from tests.fixtures.triton import (
    ROOT,
    WEIGHTS,
    Host,
    free_ports,
    host_environment,
    require_triton,
    running,
    until,
)

pytestmark = pytest.mark.triton

OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1.50 GiB free"
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path, request: pytest.FixtureRequest) -> Make:
    """A repository with the echo model under the name "moody", its `engine_settings` changed."""

    def repository(**settings: Any) -> Path:
        folder = tmp_path / "models/moody"
        shutil.copytree(ROOT / "tests/models/echo", folder)
        config = folder / "config.pbtxt"
        config.write_text(config.read_text().replace('name: "echo"', 'name: "moody"'))
        path = folder / "1/model.json"
        card = json.loads(path.read_text())
        card |= {"name": "moody", "engine_settings": card["engine_settings"] | settings}
        path.write_text(json.dumps(card))
        pull(folder.parent)
        request.addfinalizer(lambda: shutil.rmtree(WEIGHTS / "moody", ignore_errors=True))
        return folder.parent

    def pull(folder: Path) -> None:
        command = [sys.executable, "-m", "kefu_modelhost", "pull", "moody", "--to", str(WEIGHTS)]
        environment = {**os.environ, "KEFU_MODEL_REPOSITORY": str(folder)}
        subprocess.run(command, env=environment, check=True, capture_output=True)

    return repository


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[Path], tuple[subprocess.Popen[str], Path, str]]]:
    """Starts a model host and does not wait for it."""
    require_triton()
    processes = []

    def start(repository: Path) -> tuple[subprocess.Popen[str], Path, str]:
        (port,) = free_ports(1)
        door = f"127.0.0.1:{port}"
        environment = host_environment(
            tmp_path / "run", ("moody",), (repository,), KEFU_TRITON_HEALTH_ADDRESS=door
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "kefu_modelhost", "serve"],
            env=environment,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process, tmp_path / "run/status.json", door

    yield start
    for process in processes:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


def state_of(path: Path) -> str:
    return str(json.loads(path.read_text())["models"]["moody"]["state"]) if path.exists() else ""


async def test_out_of_memory_at_start_names_the_setting_to_lower(
    make: Make, started: Callable[[Path], tuple[subprocess.Popen[str], Path, str]]
) -> None:
    """What torch says is of no use to an operator; which number to change in which file is. It is tried again."""
    repository = make(start_ms=3000, start_error=OUT_OF_MEMORY)
    process, status, door = started(repository)
    await until(lambda: state_of(status) == "loading", 90)
    async with grpc.aio.insecure_channel(door) as channel:
        stub = status_service_pb2_grpc.StatusServiceStub(channel)
        (loading,) = (await stub.GetStatus(pb.GetStatusRequest(), timeout=60)).models
        assert (loading.name, loading.state) == ("moody", pb.HOSTED_STATE_LOADING)
        await until(lambda: json.loads(status.read_text())["state"] == "recovering", 90)
        (failed,) = (await stub.GetStatus(pb.GetStatusRequest(), timeout=60)).models
    assert failed.state == pb.HOSTED_STATE_FAILED
    # What goes out is ours alone.
    assert "CUDA" not in failed.advice
    told = json.loads(status.read_text())
    for words in (failed.advice, told["problem"], told["models"]["moody"]["advice"]):
        assert "lower" in words
        assert str(repository / "moody/1/model.json") in words
    assert OUT_OF_MEMORY in told["problem"]
    await until(lambda: json.loads(status.read_text())["starts"] > 1, 90)
    process.terminate()
    said = (await asyncio.to_thread(process.communicate))[1]
    assert process.returncode == 0
    assert "Traceback" not in said


async def test_an_engine_that_died_inside_its_process_is_loaded_again(
    make: Make, tmp_path: Path
) -> None:
    """Its process lives and Triton says READY; every answer fails. Only the probe sees it."""
    # Long enough that no probe of the rhythm takes the one answer that is left for the test.
    fast = {"KEFU_TRITON_PROBE_SECONDS": "4", "KEFU_TRITON_PROBE_TIMEOUT": "30"}
    # The first probes are two: without and with a picture.
    repository = make(dead_after=3)
    with running(tmp_path / "run", ("moody",), repositories=(repository,), **fast) as host:
        assert (await host.ask("moody", "one")).text == "one"
        with pytest.raises(InferenceServerException, match="engine_failed"):
            await host.ask("moody", "two")
        await until(lambda: _came_back(host), 90)
        assert "engine_failed" in host.status()["problem"]
        assert (await host.ask("moody", "three")).text == "three"


def _came_back(host: Host) -> bool:
    status = host.status()
    return bool(status["state"] == "ready" and status["starts"] + status["reloads"] > 1)
