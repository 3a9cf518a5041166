"""MediaService over real gRPC, on uploads in a folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from kefu.media.v1 import media_service_pb2_grpc as pb_grpc
from kefu_common.server import CallInterceptor, channel_options
from kefu_gateway.adapters.stores.objects import open_objects
from kefu_gateway.adapters.stores.uploads import ObjectUploads
from kefu_gateway.domain.uploads import UploadLimits
from kefu_gateway.servicers.media import MediaServicer
from tests.contract.stores.builders import Clock

LIMITS = UploadLimits(file_bytes=3 * 1024 * 1024)


def tenant_of(context: Any) -> str:
    """As the caller says: who may say so is not what is tested here."""
    return str(dict(context.invocation_metadata() or ()).get("tenant", ""))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def uploads(tmp_path: Path, clock: Clock) -> ObjectUploads:
    return ObjectUploads(open_objects((tmp_path / "objects").as_uri()), LIMITS, clock=clock)


@pytest.fixture
async def media(uploads: ObjectUploads) -> AsyncIterator[Any]:
    server = grpc.aio.server(interceptors=[CallInterceptor()], options=channel_options(4 << 20))
    servicer = MediaServicer(uploads, LIMITS, tenant_of)
    pb_grpc.add_MediaServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield pb_grpc.MediaServiceStub(channel)
    await server.stop(None)
