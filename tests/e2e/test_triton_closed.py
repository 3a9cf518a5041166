"""Triton's own administration is shut to everybody but its supervisor; asking for answers is not.

One server, started the way NVIDIA's image has it (KEFU_TRITON_HOME), with HTTP on and a door for a kubelet.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from kefu_common.health_door import PROCESS
from kefu_modelhost.closed import HEADER, RESTRICTED, key_header
from tests.fixtures.triton import TRITON_ENV, Host, free_ports, require_triton, running, until

pytestmark = pytest.mark.triton

KEY = "the-key-of-this-test"
SERVING = health_pb2.HealthCheckResponse.SERVING

# Every call of the protocol that is not for those who ask questions, one or more for each name in RESTRICTED.
CALLS = {
    "ModelMetadata": ("metadata", service_pb2.ModelMetadataRequest(name="echo")),
    "ServerMetadata": ("metadata", service_pb2.ServerMetadataRequest()),
    "ModelConfig": ("model-config", service_pb2.ModelConfigRequest(name="echo")),
    "ModelStatistics": ("statistics", service_pb2.ModelStatisticsRequest(name="echo")),
    "RepositoryIndex": ("model-repository", service_pb2.RepositoryIndexRequest()),
    "RepositoryModelLoad": (
        "model-repository",
        service_pb2.RepositoryModelLoadRequest(model_name="echo"),
    ),
    "RepositoryModelUnload": (
        "model-repository",
        service_pb2.RepositoryModelUnloadRequest(model_name="nobody"),
    ),
    "SystemSharedMemoryStatus": ("shared-memory", service_pb2.SystemSharedMemoryStatusRequest()),
    "SystemSharedMemoryRegister": (
        "shared-memory",
        service_pb2.SystemSharedMemoryRegisterRequest(name="x", key="/x", byte_size=1),
    ),
    "SystemSharedMemoryUnregister": (
        "shared-memory",
        service_pb2.SystemSharedMemoryUnregisterRequest(name="x"),
    ),
    "CudaSharedMemoryStatus": ("shared-memory", service_pb2.CudaSharedMemoryStatusRequest()),
    "CudaSharedMemoryRegister": (
        "shared-memory",
        service_pb2.CudaSharedMemoryRegisterRequest(name="x", byte_size=1),
    ),
    "CudaSharedMemoryUnregister": (
        "shared-memory",
        service_pb2.CudaSharedMemoryUnregisterRequest(name="x"),
    ),
    "TraceSetting": ("trace", service_pb2.TraceSettingRequest()),
    "LogSettings": ("logging", service_pb2.LogSettingsRequest()),
}
OPEN = {"ServerLive", "ServerReady", "ModelReady", "ModelInfer", "ModelStreamInfer"}

HTTP = {
    "v2": "metadata",
    "v2/models/echo": "metadata",
    "v2/models/echo/config": "model-config",
    "v2/models/echo/stats": "statistics",
    "v2/repository/index": "model-repository",
    "v2/repository/models/echo/unload": "model-repository",
    "v2/systemsharedmemory/status": "shared-memory",
    "v2/trace/setting": "trace",
    "v2/logging": "logging",
}


def installed(folder: Path) -> Path:
    """The wheel's server laid out as /opt/tritonserver is: bin, and a Python backend that is whole."""
    packages = next(TRITON_ENV.absolute().glob("lib/python3.*/site-packages"))
    wheel = packages / "pytriton/tritonserver"
    version = packages.parent.name.removeprefix("python")
    python = folder / "backends/python"
    python.mkdir(parents=True)
    for file in (wheel / "backends/python").iterdir():
        (python / file.name).symlink_to(file)
    stub = python / "triton_python_backend_stub"
    stub.unlink(missing_ok=True)
    stub.symlink_to(wheel / "python_backend_stubs" / version / stub.name)
    (folder / "bin").mkdir()
    binary = folder / "bin/tritonserver"
    libraries = f"{packages / 'nvidia_pytriton.libs'}:/usr/lib/x86_64-linux-gnu:/usr/local/lib"
    binary.write_text(
        f'#!/bin/sh\nexport LD_LIBRARY_PATH="{libraries}"\nexec {wheel / "bin/tritonserver"} "$@"\n'
    )
    binary.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    http, health = free_ports(2)
    return http, health


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, ports: tuple[int, int]) -> Iterator[Host]:
    require_triton()
    folder = tmp_path_factory.mktemp("closed")
    with running(
        folder / "run",
        ("echo",),
        KEFU_TRITON_ADMIN_KEY=KEY,
        KEFU_TRITON_HOME=str(installed(folder / "home")),
        KEFU_TRITON_HTTP_PORT=str(ports[0]),
        KEFU_TRITON_HEALTH_ADDRESS=f"127.0.0.1:{ports[1]}",
        KEFU_TRITON_CONNECTION_SECONDS="300",
        KEFU_TRITON_PROBE_SECONDS="1",
    ) as started:
        yield started


def test_every_call_of_the_protocol_is_either_open_or_restricted() -> None:
    """A call that a newer Triton brings must be thought about before it is let through."""
    service = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    assert {method.name for method in service.methods} == OPEN | set(CALLS)
    assert {group for group, _ in CALLS.values()} == set(RESTRICTED)


@pytest.mark.parametrize("name", sorted(CALLS))
async def test_restricted_calls_are_refused_without_the_key(host: Host, name: str) -> None:
    request = CALLS[name][1]
    async with grpc.aio.insecure_channel(host.grpc) as channel:
        call = getattr(service_pb2_grpc.GRPCInferenceServiceStub(channel), name)
        wrong = tuple(key_header("another").items())
        bare = ((HEADER, KEY),)  # the header's own name is not enough: the server wants its prefix
        for metadata in ((), wrong, bare):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(request, metadata=metadata, timeout=10)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            assert "This protocol is restricted" in (refused.value.details() or "")


async def test_the_key_opens_them(host: Host) -> None:
    async with grpc.aio.insecure_channel(host.grpc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        metadata = tuple(key_header(KEY).items())
        index = await stub.RepositoryIndex(CALLS["RepositoryIndex"][1], metadata=metadata)
        assert "echo" in {model.name for model in index.models}
        config = await stub.ModelConfig(CALLS["ModelConfig"][1], metadata=metadata)
        assert config.config.backend == "vlm"


async def test_questions_need_no_key(host: Host) -> None:
    assert (await host.ask("echo", "open to the gateway")).text == "open to the gateway"


@pytest.mark.parametrize("path", sorted(HTTP))
def test_http_is_restricted_as_well(host: Host, ports: tuple[int, int], path: str) -> None:
    post = path.endswith(("index", "unload"))
    request = urllib.request.Request(
        f"http://127.0.0.1:{ports[0]}/{path}", data=b"{}" if post else None
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 403
    assert "restricted" in json.loads(refused.value.read())["error"]


async def test_the_supervisor_still_probes_and_loads_again(
    host: Host, ports: tuple[int, int]
) -> None:
    """Last: it kills the server. Whoever holds the key finds it again without being told of it."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{ports[1]}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        async def state(service: str) -> int:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
            return int(answer.status)

        assert await state("") == SERVING
        changes = stub.Watch(health_pb2.HealthCheckRequest(service=""), timeout=60)
        assert (await changes.read()).status == SERVING
        os.kill(host.status()["triton_pid"], signal.SIGKILL)
        assert (await changes.read()).status != SERVING
        assert await state(PROCESS) == SERVING
        assert (await changes.read()).status == SERVING
        changes.cancel()
    await until(lambda: host.status()["starts"] == 2, 30)
    async with asyncio.timeout(30):
        assert (await host.ask("echo", "back")).text == "back"
