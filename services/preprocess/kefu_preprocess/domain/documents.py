"""Which bytes are a document, and what may be asked of it: checked before a worker or PDFium sees it.

admit_document(RenderJob(data=b"%PDF-1.7 ...", max_pages=10), Limits())   # raises KefuError
"""

from __future__ import annotations

from kefu_common.errors import KefuError, Reason
from kefu_preprocess.domain.formats import NO_CLAIM
from kefu_preprocess.domain.values import Limits, RenderJob

MEDIA_TYPE_PDF = "application/pdf"
_ALIASES = {"application/x-pdf", "application/acrobat"}
# Where readers look for the header and for the end: ISO 32000-1 annex H.3, notes 13 and 18.
_WINDOW = 1024
_PADDING = b"\0\t\n\f\r "

# Setting: (lowest, highest), both allowed. The same numbers stand in the comments of RenderDocumentRequest.
_RANGES = {"max_pages": (1, 50), "max_pixels": (1, 12_000_000)}


def admit_document(job: RenderJob, limits: Limits) -> None:
    """Raises KefuError SETTING_INVALID, PICTURE_EMPTY, PICTURE_TOO_LARGE, PICTURE_FORMAT_UNSUPPORTED,
    PICTURE_MEDIA_TYPE_MISMATCH or PICTURE_DAMAGED; fields are those of RenderDocumentRequest."""
    for name, (lowest, highest) in _RANGES.items():
        if not lowest <= getattr(job, name) <= highest:
            raise KefuError(
                Reason.SETTING_INVALID,
                f"the setting {name} must be from {lowest} to {highest}",
                field=name,
                setting=name,
            )
    if not job.data:
        raise KefuError(Reason.PICTURE_EMPTY, "the document has no bytes", field="data")
    if len(job.data) > limits.max_bytes:
        raise KefuError(
            Reason.PICTURE_TOO_LARGE,
            f"the document has {len(job.data)} bytes; at most {limits.max_bytes} are taken",
            field="data",
            limit=limits.max_bytes,
            got=len(job.data),
            unit="bytes",
        )
    if b"%PDF-" not in job.data[:_WINDOW]:
        raise KefuError(
            Reason.PICTURE_FORMAT_UNSUPPORTED,
            "the bytes are not a PDF document",
            field="data",
            allowed=MEDIA_TYPE_PDF,
        )
    claim = job.media_type.partition(";")[0].strip().lower()
    if claim not in NO_CLAIM | _ALIASES | {MEDIA_TYPE_PDF}:
        raise KefuError(
            Reason.PICTURE_MEDIA_TYPE_MISMATCH,
            f"the bytes are {MEDIA_TYPE_PDF}, which is not the declared media type",
            field="media_type",
            declared=claim[:64],
            found=MEDIA_TYPE_PDF,
        )
    # PDFium mends a file that is cut short as well as it can: pages would be missing, or blank, and nobody told.
    if b"%%EOF" not in job.data.rstrip(_PADDING)[-_WINDOW:]:
        raise damaged_document()


def damaged_document(
    sentence: str = "the document is damaged or cut short; send it again",
) -> KefuError:
    """The error for bytes that begin like a document and cannot be drawn."""
    return KefuError(Reason.PICTURE_DAMAGED, sentence, field="data", format=MEDIA_TYPE_PDF)
