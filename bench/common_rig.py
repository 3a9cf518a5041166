"""The processes of the gateway benchmark, each on its core: a house with the trivial model, a bare hop, and a second
gateway in front of a stand-in for Triton.

    async with open_rig(folder) as rig:
        rig.gateway, rig.triton, rig.hop    # channels
        rig.pids["gateway"]
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from bench.common_calls import OPTIONS
from bench.common_hop import save_answers
from kefu_gateway.adapters.prompts import ModelPrompts, load_cards
from kefu_gateway.domain.card import ModelCard
from tools.house import House, Ports
from tools.models import gather

# A picture's bytes shall go the whole way every time: to the sidecar (which remembers what it made of them) and back.
ENVIRONMENT = {"KEFU_GATEWAY_PICTURE_CACHE_BYTES": "0"}
_READY_SECONDS = 120.0


@dataclass(slots=True, kw_only=True)
class Rig:
    """What runs. The gateways and the hop have a core of their own; the rest, and this process, share the other."""

    house: House
    folder: Path
    stack: AsyncExitStack
    core: str
    other_core: str
    card: ModelCard
    encoder: ModelPrompts
    gateway: grpc.aio.Channel
    triton: grpc.aio.Channel
    sidecar: grpc.aio.Channel
    hop: grpc.aio.Channel

    def pid(self, name: str) -> int:
        return self.house.keeper.kept[name].pid

    def free_address(self) -> str:
        return _free_address()

    async def connect(self, address: str) -> grpc.aio.Channel:
        return await _connect(self.stack, address)

    async def saturated_gateway(
        self,
        name: str,
        answers: Sequence[bytes],
        *,
        environment: Mapping[str, str] | None = None,
        module: str = "kefu_gateway",
    ) -> grpc.aio.Channel:
        """Starts a gateway on the core whose Triton gives `answers` at once, whoever asks. `environment`: settings
        beside the first one's; `module`: what is run as a gateway."""
        recorded = self.folder / f"{name}.answers"
        save_answers(recorded, answers)
        triton, address = _free_address(), _free_address()
        await _server(self.house, f"{name}-triton", self.other_core, [triton, str(recorded)])
        first = self.house.keeper.kept["gateway"]
        await self.house.keeper.start(
            name,
            [module if word == "kefu_gateway" else word for word in first.command],
            {
                **first.environment,
                "KEFU_GATEWAY_ADDRESS": address,
                "KEFU_GATEWAY_METRICS_ADDRESS": "127.0.0.1:0",
                "KEFU_GATEWAY_TRITON_ADDRESS": triton,
                "KEFU_GATEWAY_STATE_DIR": str(self.folder / name),
                **(environment or {}),
            },
        )
        channel = await self.connect(address)
        await asyncio.wait_for(channel.channel_ready(), _READY_SECONDS)
        return channel


@asynccontextmanager
async def open_rig(folder: Path) -> AsyncIterator[Rig]:
    """Starts everything. Raises RuntimeError on a machine of one core: one must be the gateway's alone."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise RuntimeError("this benchmark needs two cores: one is the gateway's alone")
    core, other = str(cores[0]), str(cores[1])
    os.sched_setaffinity(0, {cores[1]})
    models = gather(folder, ("echo",))
    async with (
        House.open(
            folder / "run",
            Ports.free(),
            models=models.names,
            repository=models.repository,
            weights=models.weights,
            environment=ENVIRONMENT,
            cores={"gateway": core, "modelhost": other, "preprocess": other},
        ) as house,
        AsyncExitStack() as stack,
    ):
        hop = _free_address()
        await _server(house, "hop", core, [hop])
        await house.ready(seconds=_READY_SECONDS)
        card = load_cards(models.repository, models.names)["echo"]
        hop_channel = await _connect(stack, hop)
        await asyncio.wait_for(hop_channel.channel_ready(), _READY_SECONDS)
        yield Rig(
            house=house,
            folder=folder,
            stack=stack,
            core=core,
            other_core=other,
            card=card,
            encoder=ModelPrompts.load(
                card, templates=models.repository / "echo/1", weights=models.weights / "echo"
            ),
            gateway=await _connect(stack, house.gateway),
            triton=await _connect(stack, house.triton),
            sidecar=await _connect(stack, f"unix:{house.socket}"),
            hop=hop_channel,
        )


async def _server(house: House, name: str, core: str, arguments: Sequence[str]) -> None:
    command = ["taskset", "--cpu-list", core, sys.executable, "-m", "bench.common_hop", *arguments]
    await house.keeper.start(name, command, {})


async def _connect(stack: AsyncExitStack, address: str) -> grpc.aio.Channel:
    return await stack.enter_async_context(grpc.aio.insecure_channel(address, options=OPTIONS))


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
