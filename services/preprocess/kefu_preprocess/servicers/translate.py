"""Between the messages of kefu.preprocess.v1 and the values of the domain."""

from __future__ import annotations

from kefu.media.v1 import picture_pb2
from kefu.preprocess.v1 import preprocess_service_pb2 as pb
from kefu_preprocess.domain.preparation import Outcome
from kefu_preprocess.domain.values import (
    MEDIA_TYPE_WEBP,
    Crop,
    CropMode,
    Element,
    Finding,
    Job,
    Profile,
    Rendered,
    RenderJob,
)

_CROP_MODES = {
    picture_pb2.CROP_MODE_FORCE: CropMode.FORCE,
    picture_pb2.CROP_MODE_FORBID: CropMode.FORBID,
}
# Numbers of a message are 32-bit floats: 1.3 arrives as 1.2999999523162842.
_DIGITS = 4


def to_job(request: pb.PrepareRequest) -> Job:
    """A request as a job; nothing is checked here."""
    return Job(
        data=request.data,
        media_type=request.media_type,
        profile=to_profile(request.profile),
        crop_mode=_CROP_MODES.get(request.crop_mode, CropMode.AUTO),
        find_elements=request.find_elements,
        draw_elements=request.draw_elements,
        scale_down_oversized=request.scale_down_oversized,
        language=request.language or "en",
        cache_scope=request.cache_scope,
    )


def to_profile(profile: pb.Profile) -> Profile:
    """A profile with its defaults filled in, as the comments of kefu.preprocess.v1.Profile say."""
    usual = Profile()

    def wanted(setting: str) -> float:
        return _number(getattr(profile if profile.HasField(setting) else usual, setting))

    return Profile(
        name=profile.name or usual.name,
        max_pixels=profile.max_pixels or usual.max_pixels,
        min_pixels=profile.min_pixels,
        contrast=wanted("contrast"),
        sharpen=wanted("sharpen"),
        sharpen_blurred=wanted("sharpen_blurred"),
        lift_dark=wanted("lift_dark"),
        clahe=_number(profile.clahe),
        webp_quality=int(wanted("webp_quality")),
        webp_quality_blurred=profile.webp_quality_blurred,
        multiple_of=profile.multiple_of or usual.multiple_of,
    )


def to_response(size: int, outcome: Outcome) -> pb.PrepareResponse:
    """The answer to a picture of `size` bytes; the report's `index` is the gateway's to fill."""
    prepared = outcome.prepared
    report = prepared.report
    return pb.PrepareResponse(
        data=prepared.data,
        media_type=MEDIA_TYPE_WEBP,
        marked=prepared.marked,
        report=picture_pb2.PictureReport(
            sha256=outcome.sha256,
            media_type=report.media_type,
            original=_size(report.original_size),
            prepared=_size(report.prepared_size),
            original_bytes=size,
            prepared_bytes=len(prepared.data),
            crop=_crop(report.crop),
            quality=[_finding(each) for each in report.quality],
            steps=report.steps,
            elements=[_element(each) for each in report.elements],
            milliseconds=outcome.seconds * 1000,
            cached=outcome.cached,
        ),
    )


def to_render_job(request: pb.RenderDocumentRequest) -> RenderJob:
    """A request with its defaults filled in; nothing is checked here."""
    usual = RenderJob(data=b"")
    return RenderJob(
        data=request.data,
        media_type=request.media_type,
        max_pages=request.max_pages or usual.max_pages,
        max_pixels=request.max_pixels or usual.max_pixels,
        cache_scope=request.cache_scope,
    )


def to_pages(rendered: Rendered) -> pb.RenderDocumentResponse:
    """The pages, in order."""
    return pb.RenderDocumentResponse(
        pages=[
            pb.RenderedPage(
                page=page.number,
                data=page.data,
                media_type=page.media_type,
                size=_size(page.size),
            )
            for page in rendered.pages
        ],
        total_pages=rendered.total,
    )


def _number(value: float) -> float:
    return round(value, _DIGITS)


def _size(size: tuple[int, int]) -> picture_pb2.PictureSize:
    return picture_pb2.PictureSize(width=size[0], height=size[1])


def _crop(crop: Crop) -> picture_pb2.Crop:
    return picture_pb2.Crop(
        top_px=crop.top,
        bottom_px=crop.bottom,
        left_px=crop.left,
        right_px=crop.right,
        confidence=crop.confidence,
        kind=crop.kind,
    )


def _finding(finding: Finding) -> picture_pb2.QualityFinding:
    return picture_pb2.QualityFinding(
        kind=f"QUALITY_KIND_{finding.kind.name}",
        severity=finding.severity,
        value=finding.value,
        measure=finding.measure,
        advice=finding.advice,
    )


def _element(element: Element) -> picture_pb2.Element:
    box = element.box
    return picture_pb2.Element(
        number=element.number,
        kind=f"ELEMENT_KIND_{element.kind.name}",
        box=picture_pb2.Box(left=box.left, top=box.top, right=box.right, bottom=box.bottom),
    )
