"""Starts what was built, the way a cluster would: read-only root, user 10001, settings from the environment alone.

There is no container engine here that could: each image's root is mounted, made read-only in a mount namespace of its
own, and entered with chroot. Processes end by their own ids.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kefu_client import KefuClient, picture
from tools.image_build import ROOT, Builder
from tools.image_checks import USER

_READY_SECONDS = 180.0
# $1 user and group, $2 root, $3 folder for /run, $4 weights; then the command.
_ENTER = """
set -e
user=$1 root=$2 run=$3 weights=$4; shift 4
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777,size=512m tmpfs "$root/tmp"
mkdir "$root/tmp/weights"
mount --bind "$weights" "$root/tmp/weights"
mount --bind "$run" "$root/run"
mount -o remount,bind,ro "$root"
mount -o remount,bind,ro "$root/tmp/weights"
exec chroot --userspec="$user" "$root" "$@"
"""


async def answer_from_images(builder: Builder, weights: Path) -> str:
    """The answer to a sample question, from the three images together. Raises TimeoutError with their logs' ends."""
    ports = dict(
        zip(
            ("triton", "figures", "triton health", "sidecar", "gateway", "door"),
            _ports(6),
            strict=True,
        )
    )
    here = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    settings = {
        "triton-cpu": {
            "KEFU_TRITON_GRPC_PORT": str(ports["triton"]),
            "KEFU_TRITON_METRICS_PORT": str(ports["figures"]),
            "KEFU_TRITON_HEALTH_ADDRESS": here["triton health"],
            "KEFU_TRITON_RUN_DIR": "/run/triton",
            "KEFU_TRITON_STATUS_FILE": "/run/triton/status.json",
        },
        "preprocess": {
            "KEFU_PREPROCESS_SOCKET": "/run/preprocess.sock",
            "KEFU_PREPROCESS_HEALTH_ADDRESS": here["sidecar"],
            "KEFU_PREPROCESS_METRICS": "-",
            "KEFU_PREPROCESS_WORKERS": "1",
        },
        "gateway": {
            "KEFU_GATEWAY_ADDRESS": here["gateway"],
            "KEFU_GATEWAY_HEALTH_ADDRESS": here["door"],
            "KEFU_GATEWAY_METRICS_ADDRESS": "-",
            "KEFU_GATEWAY_TRITON_ADDRESS": here["triton"],
            "KEFU_GATEWAY_TRITON_METRICS_URL": "-",
            "KEFU_GATEWAY_PREPROCESS_ADDRESS": "unix:/run/preprocess.sock",
            "KEFU_GATEWAY_MODEL_REPOSITORY": "/opt/kefu/models",
            "KEFU_GATEWAY_STATE_DIR": "/tmp/state",
        },
    }
    doors = {"triton-cpu": "triton health", "preprocess": "sidecar", "gateway": "door"}
    with tempfile.TemporaryDirectory(prefix="kefu-images-") as folder, ExitStack() as stack:
        run = Path(folder, "run")
        run.mkdir(mode=0o755)
        os.chown(run, USER, USER)
        for name, values in settings.items():
            log = Path(folder, f"{name}.log")
            root = stack.enter_context(builder.mounted(name))
            process = stack.enter_context(_started(builder, name, root, run, weights, values, log))
            began = time.monotonic()
            # The gateway waits for the others by itself; here they are started one by one to time each.
            try:
                await _serving(here[doors[name]], process)
            except (TimeoutError, RuntimeError) as error:
                raise RuntimeError(f"{name}: {error}\n{log.read_text()[-4000:]}") from None
            print(f"{name:12} serves after {time.monotonic() - began:.1f} s")
        with KefuClient(here["gateway"]) as kefu:
            sample = str(ROOT / "samples/refund.png")
            answer = await asyncio.to_thread(kefu.ask, "售后单号是什么？", picture(sample))
        return str(answer.text)


@contextmanager
def _started(
    builder: Builder,
    name: str,
    root: Path,
    run: Path,
    weights: Path,
    settings: dict[str, str],
    log: Path,
) -> Iterator[subprocess.Popen[bytes]]:
    configured = builder.configured(name)
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **configured.environment, **settings}
    environment["KEFU_WEIGHTS_DIR"] = "/tmp/weights"
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER, "enter"]
    command += [
        f"{USER}:{USER}",
        str(root),
        str(run),
        str(weights.resolve()),
        *configured.entrypoint,
    ]
    with (
        log.open("wb") as out,
        subprocess.Popen(command, env=environment, stdout=out, stderr=out) as process,
    ):
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


async def _serving(address: str, process: subprocess.Popen[bytes]) -> None:
    async with grpc.aio.insecure_channel(address) as channel, asyncio.timeout(_READY_SECONDS):
        stub = health_pb2_grpc.HealthStub(channel)
        while True:
            if process.poll() is not None:
                raise RuntimeError(f"ended with {process.returncode}")
            try:
                answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=2)
            except grpc.aio.AioRpcError:
                answer = None
            if answer is not None and answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
            await asyncio.sleep(0.1)


def _ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
