"""Servers that do nothing, to measure against: `python -m bench.common_hop ADDRESS [ANSWERS]`.

- A bare gRPC hop: what the gateway costs is told beside what gRPC in Python alone costs, in the same run and on the
  same core.
- A stand-in for Triton, where ANSWERS is a file of recorded responses (see `save_answers`): it gives them to whoever
  asks, at once. A real Triton with a Python model and one core cannot keep a gateway busy; this can.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import grpc

HOP = "/bench.Hop/Echo"


def save_answers(path: Path, answers: Sequence[bytes]) -> None:
    """Each with its length in 8 bytes before it."""
    path.write_bytes(b"".join(len(one).to_bytes(8, "big") + one for one in answers))


def load_answers(path: Path) -> list[bytes]:
    data, found = path.read_bytes(), []
    while data:
        size = int.from_bytes(data[:8], "big")
        found.append(data[8 : 8 + size])
        data = data[8 + size :]
    return found


async def _serve(address: str, answers: Sequence[bytes]) -> None:
    async def echo(request: bytes, _context: object) -> bytes:
        return request[:256]

    async def infer(requests: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
        async for _ in requests:
            for answer in answers:
                yield answer

    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 64 * 1024 * 1024)])
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "bench.Hop", {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
            ),
            grpc.method_handlers_generic_handler(
                "inference.GRPCInferenceService",
                {"ModelStreamInfer": grpc.stream_stream_rpc_method_handler(infer)},
            ),
        )
    )
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], load_answers(Path(sys.argv[2])) if len(sys.argv) > 2 else ()))
