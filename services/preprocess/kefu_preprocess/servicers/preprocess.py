"""PreprocessService over gRPC: translates, and decides nothing."""

from __future__ import annotations

from typing import Any

import grpc

from kefu.preprocess.v1 import preprocess_service_pb2 as pb
from kefu.preprocess.v1 import preprocess_service_pb2_grpc
from kefu_preprocess.domain.preparation import Preparation
from kefu_preprocess.servicers.translate import (
    to_job,
    to_pages,
    to_render_job,
    to_response,
)


class PreprocessServicer(preprocess_service_pb2_grpc.PreprocessServiceServicer):
    """Errors leave as KefuError; the call interceptor turns them into status."""

    def __init__(self, preparation: Preparation) -> None:
        self._preparation = preparation

    async def Prepare(
        self, request: pb.PrepareRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.PrepareResponse:
        """Prepares one picture."""
        # Each look at a bytes field copies it: 20 MB of a large picture.
        job = to_job(request)
        return to_response(len(job.data), await self._preparation.prepare(job))

    async def RenderDocument(
        self, request: pb.RenderDocumentRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.RenderDocumentResponse:
        """Draws the pages of one document."""
        return to_pages(await self._preparation.render(to_render_job(request)))
