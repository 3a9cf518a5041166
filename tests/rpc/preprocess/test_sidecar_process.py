"""`python -m kefu_preprocess` as an operator meets it: settings, metrics, signals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from kefu.preprocess.v1 import preprocess_service_pb2 as pb
from kefu.preprocess.v1 import preprocess_service_pb2_grpc as pb_grpc
from tests.unit.preprocess.pictures import encoded, noise

COMMAND = [sys.executable, "-m", "kefu_preprocess"]


@pytest.fixture
def process(socket_folder: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """The parameter: more of the environment."""
    environment = {
        **os.environ,
        "KEFU_PREPROCESS_SOCKET": str(socket_folder / "p.sock"),
        "KEFU_PREPROCESS_METRICS": "127.0.0.1:0",
        "KEFU_PREPROCESS_WORKERS": "1",
        **getattr(request, "param", {}),
    }
    with subprocess.Popen(COMMAND, env=environment, stderr=subprocess.PIPE, text=True) as started:
        yield started
        started.kill()


def listening(process: subprocess.Popen[str]) -> int:
    """Waits for the line that says so; gives the port of the metrics."""
    assert process.stderr is not None
    for line in process.stderr:
        if '"listening"' in line:
            found = re.search(r'"metrics_port": (\d+)', line)
            assert found is not None
            return int(found[1])
    raise AssertionError("the process ended before it listened")


def test_it_prepares_counts_and_drains(process: subprocess.Popen[str], socket_folder: Path) -> None:
    port = listening(process)
    with grpc.insecure_channel(f"unix:{socket_folder}/p.sock") as channel:
        stub = pb_grpc.PreprocessServiceStub(channel)
        request = pb.PrepareRequest(data=encoded(noise(60, 40), "PNG"))
        assert stub.Prepare(request, timeout=60).data
        with pytest.raises(grpc.RpcError):
            stub.Prepare(pb.PrepareRequest(), timeout=60)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    assert 'kefu_preprocess_rejected_total{reason="PICTURE_EMPTY"} 1.0' in text
    assert 'kefu_preprocess_step_duration_seconds_count{step="encode"} 1.0' in text
    assert "kefu_preprocess_queue_depth 0.0" in text
    assert 'kefu_preprocess_bytes_total{direction="out"}' in text
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert not (socket_folder / "p.sock").exists()


@pytest.mark.parametrize("process", [{"KEFU_PREPROCESS_SETTLE_SECONDS": "60"}], indirect=True)
def test_a_second_signal_ends_it_at_once(
    process: subprocess.Popen[str], socket_folder: Path
) -> None:
    listening(process)
    with grpc.insecure_channel(f"unix:{socket_folder}/p.sock") as channel:
        # It says that it listens a moment before it hears signals.
        request = pb.PrepareRequest(data=encoded(noise(60, 40), "PNG"))
        assert pb_grpc.PreprocessServiceStub(channel).Prepare(request, timeout=60).data
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    assert any('"draining"' in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130, "not after a minute, and not with 0"


def test_help_names_every_setting() -> None:
    done = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True)
    assert "KEFU_PREPROCESS_TIME_LIMIT_MS" in done.stdout


def test_all_wrong_settings_are_reported_at_once() -> None:
    environment = {
        **os.environ,
        "KEFU_PREPROCESS_WORKERS": "many",
        "KEFU_PREPROCESS_QUEUE": "-1",
        "KEFU_PREPROCESS_QEUE": "3",
    }
    done = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    for name in ("KEFU_PREPROCESS_WORKERS", "KEFU_PREPROCESS_QUEUE", "KEFU_PREPROCESS_QEUE"):
        assert name in done.stderr
