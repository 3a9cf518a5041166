"""The three processes of Kefu on this machine: model host with Triton, sidecar, gateway.

async with House.open(folder, Ports.free()) as house:
    await house.ready(seconds=120)
    grpc.aio.insecure_channel(house.gateway)
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2

from tools.keeper import Keeper

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """TCP ports on 127.0.0.1."""

    gateway: int = 50051
    gateway_metrics: int = 9464
    preprocess_metrics: int = 9465
    triton: int = 8001
    triton_metrics: int = 8002
    modelhost: int = 8003
    modelhost_metrics: int = 8004

    @classmethod
    def free(cls) -> Ports:
        """Ports that nobody listens on now."""
        sockets = [socket.socket() for _ in range(7)]
        try:
            for one in sockets:
                one.bind(("127.0.0.1", 0))
            numbers = [one.getsockname()[1] for one in sockets]
        finally:
            for one in sockets:
                one.close()
        return cls(
            gateway=numbers[0],
            gateway_metrics=numbers[1],
            preprocess_metrics=numbers[2],
            triton=numbers[3],
            triton_metrics=numbers[4],
            modelhost=numbers[5],
            modelhost_metrics=numbers[6],
        )

    def taken(self) -> list[int]:
        """Those that somebody listens on."""
        found = []
        for name in self.__dataclass_fields__:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", getattr(self, name)))
                except OSError:
                    found.append(getattr(self, name))
        return found


@dataclass(slots=True, kw_only=True)
class House:
    """What runs, and where it listens."""

    keeper: Keeper
    ports: Ports
    models: tuple[str, ...]
    folder: Path
    socket: Path
    cores: Mapping[str, str]

    @property
    def gateway(self) -> str:
        return f"127.0.0.1:{self.ports.gateway}"

    @property
    def triton(self) -> str:
        return f"127.0.0.1:{self.ports.triton}"

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        folder: Path,
        ports: Ports,
        *,
        models: tuple[str, ...] = ("reader",),
        repository: Path = ROOT / "deploy/triton_models",
        weights: Path = ROOT / ".kefu/weights",
        environment: Mapping[str, str] | None = None,
        cores: Mapping[str, str] | None = None,
    ) -> AsyncIterator[House]:
        """Starts all three; stops them at the end. `folder` holds logs and state; `environment` adds settings; `cores`
        pins processes (`{"gateway": "0", "modelhost": "1"}`, as taskset writes them; Triton is the model host's child).
        """
        folder.mkdir(parents=True, exist_ok=True)
        # A unix socket's path may have 107 bytes: a checkout's own folder can be deeper than that.
        sockets = Path(tempfile.mkdtemp(prefix="kefu-"))
        try:
            async with Keeper(folder / "log") as keeper:
                house = cls(
                    keeper=keeper,
                    ports=ports,
                    models=models,
                    folder=folder,
                    socket=sockets / "preprocess.sock",
                    cores=dict(cores or {}),
                )
                await house._start(repository, weights, dict(environment or {}))
                yield house
        finally:
            shutil.rmtree(sockets, ignore_errors=True)

    async def _start(self, repository: Path, weights: Path, extra: dict[str, str]) -> None:
        ports = self.ports
        state = self.folder / "triton"
        shared = {"KEFU_WEIGHTS_DIR": str(weights), "PYTHONUNBUFFERED": "1", **extra}
        await self._python(
            "modelhost",
            ["kefu_modelhost", "serve"],
            {
                "KEFU_MODELS": ",".join(self.models),
                "KEFU_MODEL_REPOSITORY": str(repository),
                "KEFU_BACKENDS_DIR": str(ROOT / "deploy/triton_backends"),
                "KEFU_TRITON_ENV": str(ROOT / ".kefu/envs/triton"),
                "KEFU_TRITON_RUN_DIR": str(state),
                "KEFU_TRITON_STATUS_FILE": str(state / "status.json"),
                "KEFU_TRITON_GRPC_PORT": str(ports.triton),
                "KEFU_TRITON_METRICS_PORT": str(ports.triton_metrics),
                "KEFU_TRITON_HEALTH_ADDRESS": f"127.0.0.1:{ports.modelhost}",
                "KEFU_TRITON_HOST_METRICS_ADDRESS": f"127.0.0.1:{ports.modelhost_metrics}",
                **shared,
            },
        )
        await self._python(
            "preprocess",
            ["kefu_preprocess"],
            {
                "KEFU_PREPROCESS_SOCKET": str(self.socket),
                "KEFU_PREPROCESS_METRICS": f"127.0.0.1:{ports.preprocess_metrics}",
                **shared,
            },
        )
        await self._python(
            "gateway",
            ["kefu_gateway"],
            {
                "KEFU_GATEWAY_ADDRESS": self.gateway,
                "KEFU_GATEWAY_METRICS_ADDRESS": f"127.0.0.1:{ports.gateway_metrics}",
                "KEFU_GATEWAY_TRITON_ADDRESS": self.triton,
                "KEFU_GATEWAY_MODELHOST_ADDRESS": f"127.0.0.1:{ports.modelhost}",
                "KEFU_GATEWAY_TRITON_METRICS_URL": f"http://127.0.0.1:{ports.triton_metrics}/metrics",
                "KEFU_GATEWAY_PREPROCESS_ADDRESS": f"unix:{self.socket}",
                "KEFU_GATEWAY_MODEL_REPOSITORY": str(repository),
                "KEFU_GATEWAY_MODELS": ",".join(self.models),
                "KEFU_GATEWAY_STATE_DIR": str(self.folder / "state"),
                **shared,
            },
        )

    async def _python(self, name: str, module: list[str], environment: Mapping[str, str]) -> None:
        pinned = ["taskset", "--cpu-list", self.cores[name]] if name in self.cores else []
        await self.keeper.start(name, [*pinned, sys.executable, "-m", *module], environment)

    async def missing(self) -> list[str]:
        """What does not serve yet, by name; empty when everything does."""
        names = ["preprocess", *(f"model.{model}" for model in self.models)]
        async with grpc.aio.insecure_channel(self.gateway) as channel:
            check = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )
            found = []
            for name in names:
                request = health_pb2.HealthCheckRequest(service=f"kefu.dependency.{name}")
                try:
                    response = await check(request, timeout=2)
                except grpc.aio.AioRpcError:
                    return ["gateway"]
                if response.status != health_pb2.HealthCheckResponse.SERVING:
                    found.append(name)
            return found

    async def ready(self, *, seconds: float) -> None:
        """Returns when everything serves. Raises TimeoutError with the logs' ends of what does not."""
        missing: list[str] = []
        try:
            async with asyncio.timeout(seconds):
                while missing := await self.missing():
                    await asyncio.sleep(0.2)
        except TimeoutError:
            logs = "\n".join(f"--- {name}\n{self.keeper.tail(name)}" for name in self.keeper.kept)
            raise TimeoutError(f"not ready after {seconds:.0f} s: {missing}\n{logs}") from None
