"""Picture reports between the wire and the domain. Both directions stand here, so that a new field is one place."""

from __future__ import annotations

from kefu.media.v1 import picture_pb2 as pb
from kefu_gateway.domain.answer import Box, Crop, Element, PictureReport, QualityFinding, Size

QUALITY_KINDS = {
    "blur": pb.QUALITY_KIND_BLUR,
    "dark": pb.QUALITY_KIND_DARK,
    "glare": pb.QUALITY_KIND_GLARE,
    "too_small": pb.QUALITY_KIND_TOO_SMALL,
    "cut_off": pb.QUALITY_KIND_CUT_OFF,
    "screen_of_screen": pb.QUALITY_KIND_SCREEN_OF_SCREEN,
}
ELEMENT_KINDS = {
    "text": pb.ELEMENT_KIND_TEXT,
    "button": pb.ELEMENT_KIND_BUTTON,
    "icon": pb.ELEMENT_KIND_ICON,
    "picture": pb.ELEMENT_KIND_PICTURE,
}
_QUALITY_WORDS = {number: word for word, number in QUALITY_KINDS.items()}
_ELEMENT_WORDS = {number: word for word, number in ELEMENT_KINDS.items()}


def report_from_proto(report: pb.PictureReport) -> PictureReport:
    crop = report.crop
    return PictureReport(
        index=report.index,
        sha256=report.sha256,
        media_type=report.media_type,
        original=Size(report.original.width, report.original.height),
        prepared=Size(report.prepared.width, report.prepared.height),
        original_bytes=report.original_bytes,
        prepared_bytes=report.prepared_bytes,
        crop=Crop(
            top_px=crop.top_px,
            bottom_px=crop.bottom_px,
            left_px=crop.left_px,
            right_px=crop.right_px,
            confidence=crop.confidence,
            kind=crop.kind,
        ),
        quality=tuple(
            QualityFinding(
                kind=_QUALITY_WORDS.get(found.kind, "unknown"),
                severity=found.severity,
                value=found.value,
                measure=found.measure,
                advice=found.advice,
            )
            for found in report.quality
        ),
        steps=tuple(report.steps),
        elements=tuple(
            Element(
                number=element.number,
                kind=_ELEMENT_WORDS.get(element.kind, "unknown"),
                box=box_from_proto(element.box),
            )
            for element in report.elements
        ),
        milliseconds=report.milliseconds,
        cached=report.cached,
        page=report.page,
        document=report.document,
    )


def report_to_proto(report: PictureReport) -> pb.PictureReport:
    crop = report.crop
    return pb.PictureReport(
        index=report.index,
        sha256=report.sha256,
        media_type=report.media_type,
        original=pb.PictureSize(width=report.original.width, height=report.original.height),
        prepared=pb.PictureSize(width=report.prepared.width, height=report.prepared.height),
        original_bytes=report.original_bytes,
        prepared_bytes=report.prepared_bytes,
        crop=pb.Crop(
            top_px=crop.top_px,
            bottom_px=crop.bottom_px,
            left_px=crop.left_px,
            right_px=crop.right_px,
            confidence=crop.confidence,
            kind=crop.kind,
        ),
        quality=[
            pb.QualityFinding(
                kind=QUALITY_KINDS.get(found.kind, pb.QUALITY_KIND_UNSPECIFIED),
                severity=found.severity,
                value=found.value,
                measure=found.measure,
                advice=found.advice,
            )
            for found in report.quality
        ],
        steps=report.steps,
        elements=[
            pb.Element(
                number=element.number,
                kind=ELEMENT_KINDS.get(element.kind, pb.ELEMENT_KIND_UNSPECIFIED),
                box=box_to_proto(element.box),
            )
            for element in report.elements
        ],
        milliseconds=report.milliseconds,
        cached=report.cached,
        page=report.page,
        document=report.document,
    )


def box_from_proto(box: pb.Box) -> Box:
    return Box(left=box.left, top=box.top, right=box.right, bottom=box.bottom)


def box_to_proto(box: Box) -> pb.Box:
    return pb.Box(left=box.left, top=box.top, right=box.right, bottom=box.bottom)
