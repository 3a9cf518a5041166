"""Two models in one server, and one of them cannot be loaded: the other one serves, and does not notice.

It was otherwise: every failed load started the whole server again, and the healthy model went down with it each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc.aio import InferenceServerClient

from kefu.modelhost.v1 import status_service_pb2 as pb
from kefu.modelhost.v1 import status_service_pb2_grpc
from kefu_modelhost.orphans import processes, recorded
from tests.fixtures.triton import (
    ROOT,
    Host,
    free_ports,
    host_environment,
    require_triton,
    started,
    until,
)

pytestmark = pytest.mark.triton

OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1.50 GiB free"
# A machine that is ten times slower, and the pauses between attempts.
PATIENCE = 120.0
# The next attempt comes after a second, however often it failed.
SOON = {"KEFU_TRITON_RETRY_SECONDS": "1"}


class Pair:
    """`echo`, which is healthy, and `moody`, whose card a test writes; and the host's own doors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models = folder / "models"
        self.weights = folder / "weights"
        shutil.copytree(ROOT / "tests/models/echo", self.models / "echo")
        shutil.copytree(ROOT / "tests/models/echo", self.models / "moody")
        config = self.models / "moody/config.pbtxt"
        config.write_text(config.read_text().replace('name: "echo"', 'name: "moody"'))
        self.change()
        self.pull("echo")

    def change(self, settings: dict[str, Any] | None = None, **changes: Any) -> None:
        """Writes moody's card anew: `engine_settings`, and keys of the card."""
        card = json.loads((ROOT / "tests/models/echo/1/model.json").read_text())
        card |= {"name": "moody", **changes}
        card["engine_settings"] |= settings or {}
        path = self.models / "moody/1/model.json"
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps(card))
        partial.replace(path)

    def pull(self, name: str) -> None:
        command = [sys.executable, "-m", "kefu_modelhost", "pull", name, "--to", str(self.weights)]
        environment = {**os.environ, "KEFU_MODEL_REPOSITORY": str(self.models)}
        subprocess.run(command, env=environment, check=True, capture_output=True, cwd=ROOT)

    @contextlib.contextmanager
    def running(self, *names: str, **extra: str) -> Iterator[Host]:
        """A host that is not waited for."""
        require_triton()
        run = self.folder / "run"
        door, metrics = (f"127.0.0.1:{port}" for port in free_ports(2))
        self.door, self.metrics = door, metrics
        environment = host_environment(
            run,
            names or ("moody", "echo"),
            (self.models,),
            KEFU_WEIGHTS_DIR=str(self.weights),
            KEFU_TRITON_HEALTH_ADDRESS=door,
            KEFU_TRITON_HOST_METRICS_ADDRESS=metrics,
            **extra,
        )
        with started(run, environment) as host:
            yield host
            host.process.terminate()
            host.process.wait(60)

    def shown(self, host: Host) -> subprocess.CompletedProcess[str]:
        """What `status` prints."""
        return subprocess.run(
            [sys.executable, "-m", "kefu_modelhost", "status"],
            env={**os.environ, "KEFU_TRITON_STATUS_FILE": str(host.folder / "status.json")},
            capture_output=True,
            text=True,
            check=False,
        )

    async def serving(self) -> bool:
        async with grpc.aio.insecure_channel(self.door) as channel:
            request = health_pb2.HealthCheckRequest()
            answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=30)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def told(self) -> dict[str, pb.HostedModel]:
        async with grpc.aio.insecure_channel(self.door) as channel:
            stub = status_service_pb2_grpc.StatusServiceStub(channel)
            answer = await stub.GetStatus(pb.GetStatusRequest(), timeout=30)
        return {model.name: model for model in answer.models}

    def metric(self, line: str) -> bool:
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=30) as page:
            return line in page.read().decode().splitlines()


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def model(host: Host, name: str = "moody") -> dict[str, Any]:
    """What the status file says of a model."""
    found: dict[str, Any] = host.status().get("models", {}).get(name, {"state": "", "failures": 0})
    return found


async def asked(host: Host, name: str, words: str = "hi") -> str:
    """An answer of a model of this test; the byte tokenizer needs no files of a fixture."""
    return (await host.answer(name, list(words.encode()), (), {"temperature": 0})).text


@contextlib.asynccontextmanager
async def steady(host: Host) -> AsyncIterator[None]:
    """echo answers all the time, or the test fails."""
    stop = asyncio.Event()

    async def ask() -> int:
        count = 0
        while not stop.is_set():
            assert await asked(host, "echo") == "hi"
            count += 1
        return count

    task = asyncio.create_task(ask())
    try:
        yield
    finally:
        stop.set()
    assert await task > 0


async def test_the_healthy_model_serves_while_the_other_is_tried_again(pair: Pair) -> None:
    pair.change({"start_error": OUT_OF_MEMORY})
    pair.pull("moody")
    with pair.running(**SOON) as host:
        await until(lambda: host.status()["state"] == "degraded", PATIENCE)
        server = host.status()["triton_pid"]
        async with steady(host):
            # A kubelet keeps the pod, and a caller is told which model it is.
            assert await pair.serving()
            told = await pair.told()
            assert told["echo"].state == pb.HOSTED_STATE_READY
            async with InferenceServerClient(host.grpc) as client:
                assert await client.is_model_ready("echo")
                assert not await client.is_model_ready("moody")
            await until(lambda: model(host)["failures"] >= 2, PATIENCE)
            await until(lambda: model(host)["state"] == "failed", PATIENCE)
            assert pair.metric('kefu_modelhost_model_state{model="moody",state="failed"} 1')
            assert pair.metric('kefu_modelhost_model_state{model="echo",state="ready"} 1')
            shown = pair.shown(host)
            assert shown.returncode == 3
            card = str(pair.models / "moody/1/model.json")
            for words in (shown.stderr, model(host)["advice"], host.status()["problem"]):
                assert "lower" in words
                assert card in words
            assert OUT_OF_MEMORY in model(host)["problem"]
            assert "tried again in" in shown.stderr
            # What was wrong is put right, and the model comes by itself.
            pair.change()
            await until(lambda: host.status()["state"] == "ready", PATIENCE)
        assert await asked(host, "moody") == "hi"
        assert (host.status()["triton_pid"], host.status()["starts"]) == (server, 1)
        assert pair.shown(host).returncode == 0


async def test_weights_that_come_later_are_found(pair: Pair) -> None:
    """Missing weights of one model ended the whole host before Triton was even started."""
    with pair.running(**SOON) as host:
        await until(lambda: host.status()["state"] == "degraded", PATIENCE)
        assert "kefu_modelhost pull moody" in model(host)["problem"]
        async with steady(host):
            pair.pull("moody")
            await until(lambda: host.status()["state"] == "ready", PATIENCE)
        assert host.status()["starts"] == 1


async def test_a_loader_that_dies_is_noticed_at_once(pair: Pair) -> None:
    """The limit of a load is twenty minutes; a process that is gone needs none of them."""
    pair.change({"start_ms": 1_000_000})
    pair.pull("moody")
    with pair.running("echo", "moody", KEFU_TRITON_RETRY_ATTEMPTS="1") as host:
        await until(lambda: loading(host) is not None, PATIENCE)
        # echo is there, and answers while the other one loads.
        async with steady(host):
            pid = loading(host)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await until(lambda: model(host)["state"] == "failed", PATIENCE)
        # Triton says it is not healthy; of one that died just after its start, it says nothing, and we do.
        problem = model(host)["problem"]
        assert "not healthy" in problem or "died while it was loading" in problem
        assert "memory" in model(host)["advice"]
        assert host.status()["starts"] == 1


async def test_a_load_without_an_end_is_ended(pair: Pair) -> None:
    pair.change({"start_ms": 1_000_000}, load_seconds=3)
    pair.pull("moody")
    with pair.running(**SOON) as host:
        await until(lambda: model(host)["failures"] >= 1, PATIENCE)
        assert "was not loaded in 3 s" in model(host)["problem"]
        assert "load_seconds" in model(host)["problem"]
        await until(lambda: model(host, "echo")["state"] == "ready", PATIENCE)
        await until(lambda: model(host)["failures"] >= 2, PATIENCE)
        assert await asked(host, "echo") == "hi"
        assert host.status()["starts"] == 1


async def test_a_load_that_takes_the_server_with_it_comes_last(pair: Pair) -> None:
    """As when the kernel ends tritonserver for the memory that a load takes: the healthy model is loaded first."""
    pair.change({"start_ms": 1_000_000})
    pair.pull("moody")
    with pair.running() as host:
        await until(lambda: loading(host) is not None, PATIENCE)
        os.kill(host.status()["triton_pid"], signal.SIGKILL)
        await until(lambda: host.status()["state"] == "degraded", PATIENCE)
        assert await asked(host, "echo") == "hi"
        assert host.status()["starts"] == 2
        assert "ended with -9" in model(host)["problem"]
        assert model(host)["retry_at"] - model(host)["since"] > 200


async def test_it_is_not_tried_more_often_than_it_may(pair: Pair) -> None:
    pair.change({"start_error": "no"})
    pair.pull("moody")
    with pair.running(KEFU_TRITON_RETRY_ATTEMPTS="1") as host:
        await until(lambda: host.status()["state"] == "degraded", PATIENCE)
        assert model(host)["retry_at"] is None
        assert "not tried again" in pair.shown(host).stderr
        assert await asked(host, "echo") == "hi"


async def test_where_none_can_be_loaded_the_server_is_started_again(pair: Pair) -> None:
    pair.change({"start_error": "no"})
    pair.pull("moody")
    with pair.running("moody") as host:
        await until(lambda: host.status().get("starts", 0) >= 3, PATIENCE)
        assert not await pair.serving()
        assert pair.shown(host).returncode == 1


async def test_where_none_could_be_loaded_each_is_tried_with_the_next_server(pair: Pair) -> None:
    """The first one's failure made the second one's of the server before count again: it was never tried."""
    pair.change({"start_error": "no"})
    pair.pull("moody")
    echo = pair.models / "echo/1/model.json"
    good = echo.read_text()
    echo.write_text(
        good.replace('"engine_settings": {', '"engine_settings": {"start_error": "no",')
    )
    with pair.running() as host:
        await until(lambda: host.status().get("starts", 0) >= 2, PATIENCE)
        echo.write_text(good)
        await until(lambda: host.status()["state"] == "degraded", PATIENCE)
        assert await asked(host, "echo") == "hi"


def loading(host: Host) -> int | None:
    """The process that loads moody, once it is at it."""
    run = recorded(host.folder / "run.json")
    for pid in processes(run) if run else ():
        with contextlib.suppress(OSError):
            # Past its start, of which Triton would say nothing for half a minute if it died there.
            begun = b"_multiarray_umath" in Path(f"/proc/{pid}/maps").read_bytes()
            if begun and b"/moody/" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
    return None
