"""The sidecar that prepares pictures, over its unix socket."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
import structlog

from kefu.media.v1 import picture_pb2
from kefu.preprocess.v1 import preprocess_service_pb2 as pb
from kefu.preprocess.v1 import preprocess_service_pb2_grpc as pb_grpc
from kefu_common.calls import outgoing
from kefu_common.errors import KefuError, Reason
from kefu_common.status import from_call_error
from kefu_gateway.domain.card import ModelCard
from kefu_gateway.domain.ports import PreparedPicture, RenderedPage
from kefu_gateway.domain.question import CropMode, PicturePart
from kefu_gateway.wire.pictures import report_from_proto

log = structlog.get_logger()

_CROP_MODES = {
    CropMode.AUTO: picture_pb2.CROP_MODE_AUTO,
    CropMode.FORCE: picture_pb2.CROP_MODE_FORCE,
    CropMode.FORBID: picture_pb2.CROP_MODE_FORBID,
}


class SidecarPreparer:
    """Implements the ports PicturePreparer and DocumentRenderer."""

    def __init__(self, channel: grpc.aio.Channel, *, scale_down_oversized: bool) -> None:
        self._stub = pb_grpc.PreprocessServiceStub(channel)
        self._scale_down_oversized = scale_down_oversized

    async def prepare(
        self,
        picture: PicturePart,
        data: bytes,
        card: ModelCard,
        *,
        tenant: str,
        language: str,
        timeout: float,
    ) -> PreparedPicture:
        request = pb.PrepareRequest(
            data=data,
            media_type=picture.media_type,
            profile=profile_of(card),
            crop_mode=_CROP_MODES[picture.crop_mode],
            find_elements=picture.find_elements,
            scale_down_oversized=self._scale_down_oversized,
            language=language,
            cache_scope=tenant,
        )
        try:
            response = await self._stub.Prepare(request, timeout=timeout, metadata=outgoing())
        except grpc.aio.AioRpcError as error:
            raise _call_error(error) from None
        return PreparedPicture(data=response.data, report=report_from_proto(response.report))

    async def render(
        self,
        data: bytes,
        media_type: str,
        *,
        tenant: str,
        max_pages: int,
        max_pixels: int,
        timeout: float,
    ) -> Sequence[RenderedPage]:
        request = pb.RenderDocumentRequest(
            data=data,
            media_type=media_type,
            max_pages=max_pages,
            max_pixels=max_pixels,
            cache_scope=tenant,
        )
        try:
            response = await self._stub.RenderDocument(
                request, timeout=timeout, metadata=outgoing()
            )
        except grpc.aio.AioRpcError as error:
            raise _call_error(error) from None
        return [
            RenderedPage(number=page.page, data=page.data, media_type=page.media_type)
            for page in response.pages
        ]


def profile_of(card: ModelCard) -> pb.Profile:
    """The card's preprocessing profile on the wire; what the card leaves open stays the sidecar's default."""
    wanted = card.preprocess
    return pb.Profile(
        name=wanted.name,
        max_pixels=wanted.max_pixels,
        min_pixels=wanted.min_pixels,
        contrast=wanted.contrast,
        sharpen=wanted.sharpen,
        sharpen_blurred=wanted.sharpen_blurred,
        lift_dark=wanted.lift_dark,
        clahe=wanted.clahe,
        webp_quality=wanted.webp_quality,
        webp_quality_blurred=wanted.webp_quality_blurred,
        multiple_of=wanted.multiple_of,
    )


def _call_error(error: grpc.aio.AioRpcError) -> KefuError:
    known = from_call_error(error)
    if known is not None and known.reason is not Reason.INTERNAL:
        return known
    code = error.code()
    log.warning("sidecar call failed", code=code.name, words=(error.details() or "")[:500])
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return KefuError(
            Reason.DEADLINE_EXCEEDED,
            "the deadline passed while the picture was prepared",
            stage="gather",
        )
    if code is grpc.StatusCode.INTERNAL:
        return KefuError(Reason.INTERNAL, "something went wrong on our side")
    return KefuError(
        Reason.PREPROCESS_UNAVAILABLE,
        "the preprocessing sidecar does not answer",
        dependency="preprocess",
    )
