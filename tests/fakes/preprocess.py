"""A sidecar that speaks the wire: gives every picture back as it came, with a report, or fails as it is told.

A document is b"%PDF-first page|second page": its pages are the pieces.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from kefu.media.v1 import picture_pb2
from kefu.preprocess.v1 import preprocess_service_pb2 as pb
from kefu.preprocess.v1 import preprocess_service_pb2_grpc as pb_grpc
from kefu_common.errors import KefuError, Reason
from kefu_common.status import to_rpc_status


class FakePreprocess(pb_grpc.PreprocessServiceServicer):
    """`error`: raised for every picture. `hold`: pictures wait for this event where it is set."""

    def __init__(self, folder: Path) -> None:
        self.address = f"unix:{folder}/preprocess.sock"
        self.error: KefuError | None = None
        self.hold: asyncio.Event | None = None
        self.seen: list[pb.PrepareRequest] = []
        self.metadata: list[dict[str, str]] = []
        self.documents: list[pb.RenderDocumentRequest] = []
        self._server: grpc.aio.Server | None = None

    async def __aenter__(self) -> FakePreprocess:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        options = [("grpc.max_receive_message_length", -1)]
        self._server = grpc.aio.server(options=options)
        pb_grpc.add_PreprocessServiceServicer_to_server(self, self._server)
        health = HealthServicer()
        await health.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(health, self._server)
        self._server.add_insecure_port(self.address)
        await self._server.start()

    async def stop(self) -> None:
        assert self._server is not None
        await self._server.stop(0)

    async def Prepare(
        self, request: pb.PrepareRequest, context: grpc.aio.ServicerContext
    ) -> pb.PrepareResponse:
        self.seen.append(request)
        self.metadata.append({k: str(v) for k, v in context.invocation_metadata() or ()})
        if self.hold is not None:
            await self.hold.wait()
        if self.error is not None:
            status = to_rpc_status(self.error)
            await context.abort_with_status(status)  # type: ignore[attr-defined]
        report = picture_pb2.PictureReport(
            sha256=hashlib.sha256(request.data).hexdigest(),
            media_type="image/png",
            original=picture_pb2.PictureSize(width=200, height=400),
            prepared=picture_pb2.PictureSize(width=100, height=180),
            original_bytes=len(request.data),
            prepared_bytes=len(request.data),
            crop=picture_pb2.Crop(top_px=40, confidence=0.9, kind="status_bar"),
            steps=["crop", "webp 80"],
        )
        return pb.PrepareResponse(data=request.data, media_type="image/webp", report=report)

    async def RenderDocument(
        self, request: pb.RenderDocumentRequest, context: grpc.aio.ServicerContext
    ) -> pb.RenderDocumentResponse:
        self.documents.append(request)
        pages = request.data.removeprefix(b"%PDF-").split(b"|")
        error = None
        if pages == [b"damaged"]:
            error = KefuError(Reason.PICTURE_DAMAGED, "damaged", field="data")
        elif len(pages) > request.max_pages:
            error = KefuError(
                Reason.TOO_MANY_PICTURES,
                f"{len(pages)} pages",
                field="data",
                limit=request.max_pages,
                got=len(pages),
            )
        if error is not None:
            await context.abort_with_status(to_rpc_status(error))  # type: ignore[attr-defined]
        return pb.RenderDocumentResponse(
            pages=[
                pb.RenderedPage(page=number, data=page, media_type="image/webp")
                for number, page in enumerate(pages, start=1)
            ],
            total_pages=len(pages),
        )
