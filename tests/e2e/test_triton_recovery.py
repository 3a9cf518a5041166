"""What the supervisor does when the server, a stub or a model breaks; with the echo model, which breaks when told."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from tritonclient.utils import InferenceServerException

from kefu_modelhost.orphans import Run, processes, recorded, regions
from tests.fixtures.triton import (
    ROOT,
    Host,
    host_environment,
    require_triton,
    running,
    until,
    wait_until,
)

pytestmark = pytest.mark.triton

_FAST = {"KEFU_TRITON_PROBE_SECONDS": "1", "KEFU_TRITON_PROBE_TIMEOUT": "2"}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with running(tmp_path_factory.mktemp("recovery"), ("echo",), **_FAST) as host:
        yield host


def run_of(host: Host) -> Run:
    run = recorded(host.folder / "run.json")
    assert run is not None
    return run


def stubs(host: Host) -> set[int]:
    return set(processes(run_of(host))) - {host.status()["triton_pid"]}


async def broken_stream(host: Host) -> float:
    """Seconds until a stream that was running hears that it is broken; fails if it hears nothing."""
    began = time.monotonic()
    with pytest.raises((InferenceServerException, grpc.aio.AioRpcError)):
        async with asyncio.timeout(60):
            await host.ask("echo", "@echo tokens=3000 token_ms=20\nx", max_tokens=4000)
    return time.monotonic() - began


async def streaming(host: Host) -> asyncio.Task[float]:
    before = host.metric("kefu_vlm_active_requests", "echo")
    task = asyncio.create_task(broken_stream(host))
    await until(lambda: host.metric("kefu_vlm_active_requests", "echo") > before, 10)
    return task


async def test_a_killed_server_comes_back(host: Host) -> None:
    old, status = run_of(host), host.status()
    stream = await streaming(host)
    os.kill(status["triton_pid"], signal.SIGKILL)
    assert await stream < 20
    await until(
        lambda: host.status()["state"] == "ready" and host.status()["starts"] > status["starts"], 30
    )
    assert (await host.ask("echo", "back")).text == "back"
    assert list(processes(old)) == []
    assert regions(old) == []
    assert "ended" in host.status()["problem"]


async def test_a_killed_stub_comes_back_without_a_new_server(host: Host) -> None:
    status = host.status()
    (stub,) = stubs(host)
    stream = await streaming(host)
    os.kill(stub, signal.SIGKILL)
    # `reloads` changes before the model is back, `ready` must be seen after it.
    await until(
        lambda: (
            host.status()["reloads"] + host.status()["starts"]
            > status["reloads"] + status["starts"]
            and host.status()["state"] == "ready"
        ),
        30,
    )
    assert (await host.ask("echo", "back")).text == "back"
    assert await stream < 60
    assert stub not in set(processes(run_of(host)))


async def test_a_crash_in_the_middle_of_an_answer(host: Host) -> None:
    """The stub kills itself while it writes: the caller hears of it, and the model comes back."""
    before = host.status()
    with pytest.raises((InferenceServerException, grpc.aio.AioRpcError)):
        async with asyncio.timeout(60):
            await host.ask("echo", "@echo crash_after=3 token_ms=5\nabcdefgh")
    await until(
        lambda: (
            host.status()["reloads"] + host.status()["starts"]
            > before["reloads"] + before["starts"]
            and host.status()["state"] == "ready"
        ),
        30,
    )
    assert (await host.ask("echo", "back")).text == "back"


async def test_a_server_that_stopped_answering_is_replaced(host: Host) -> None:
    """SIGSTOP: the processes live, the ports accept, and nothing answers; only a real inference shows it."""
    status = host.status()
    for pid in (*stubs(host), status["triton_pid"]):
        os.kill(pid, signal.SIGSTOP)
    await until(
        lambda: host.status()["starts"] > status["starts"] and host.status()["state"] == "ready", 60
    )
    assert (await host.ask("echo", "back")).text == "back"


def test_sigterm_waits_for_a_running_answer_and_leaves_nothing(tmp_path: Path) -> None:
    with running(tmp_path, ("echo",)) as host:
        run = run_of(host)

        async def last_words() -> str:
            task = asyncio.create_task(
                host.ask("echo", "@echo tokens=60 token_ms=20\nbye ", max_tokens=100)
            )
            await until(lambda: host.metric("kefu_vlm_active_requests", "echo") > 0, 10)
            host.process.send_signal(signal.SIGTERM)
            return (await task).text

        assert asyncio.run(last_words()) == "bye " * 15
        assert host.process.wait(30) == 0
        assert host.status()["state"] == "stopped"
        assert list(processes(run)) == []
        assert regions(run) == []


def test_what_a_killed_supervisor_left_is_cleared_on_the_next_start(tmp_path: Path) -> None:
    with running(tmp_path, ("echo",)) as host:
        old = run_of(host)
        host.process.kill()
        host.process.wait()
        assert list(processes(old))
        (bystander := Path("/dev/shm/kefu_test_bystander")).touch()
        try:
            with running(tmp_path, ("echo",)):
                assert list(processes(old)) == []
                assert regions(old) == []
                assert bystander.exists()
        finally:
            bystander.unlink()


def test_a_second_signal_leaves_at_once(tmp_path: Path) -> None:
    with running(tmp_path, ("echo",)) as host:
        run = run_of(host)
        # A stopped server cannot drain.
        os.kill(host.status()["triton_pid"], signal.SIGSTOP)
        host.process.send_signal(signal.SIGTERM)
        wait_until(lambda: host.status()["state"] == "draining", 10)
        host.process.send_signal(signal.SIGTERM)
        assert host.process.wait(5) == 130
        for pid in processes(run):
            os.kill(pid, signal.SIGKILL)
        for region in regions(run):
            region.unlink()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    require_triton()
    return host_environment(tmp_path, ("echo",))


def serve(environment: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "kefu_modelhost", "serve"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr.decode()


def test_a_taken_port_is_named(host: Host, environment: dict[str, str]) -> None:
    environment["KEFU_TRITON_GRPC_PORT"] = port = host.grpc.rpartition(":")[2]
    code, said = serve(environment)
    assert code == 2
    assert f"127.0.0.1:{port}" in said
    assert "KEFU_TRITON_GRPC_PORT" in said


def test_a_second_host_in_the_same_folder_is_refused(
    host: Host, environment: dict[str, str]
) -> None:
    environment["KEFU_TRITON_RUN_DIR"] = str(host.folder)
    code, said = serve(environment)
    assert code == 2
    assert "another model host" in said
    assert host.status()["state"] == "ready"


def test_missing_weights_say_how_to_get_them(environment: dict[str, str], tmp_path: Path) -> None:
    environment |= {"KEFU_MODELS": "reader", "KEFU_WEIGHTS_DIR": str(tmp_path / "none")}
    code, said = serve(environment)
    assert code == 2
    assert "kefu_modelhost pull reader" in said


def test_an_unknown_model_is_named(environment: dict[str, str]) -> None:
    environment["KEFU_MODELS"] = "nonesuch"
    code, said = serve(environment)
    assert code == 2
    assert "nonesuch" in said
