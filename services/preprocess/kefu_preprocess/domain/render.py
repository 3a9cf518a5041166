"""A PDF's pages as pictures, drawn by PDFium: in a worker, for it is a large C++ library that reads strangers' files.

render(RenderJob(data=open("invoice.pdf", "rb").read()), Limits()).pages[0].data   # WebP

Nothing of a document is run: the build has neither JavaScript nor XFA, and forms are drawn as they were saved, because
no form environment is ever made. PDFium fetches nothing.
"""

from __future__ import annotations

import io
import math

import numpy as np
import pypdfium2 as pdfium  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium_c  # type: ignore[import-untyped]
from PIL import Image

from kefu_common.errors import KefuError, Reason
from kefu_preprocess.domain.decode import Pixels
from kefu_preprocess.domain.documents import admit_document, damaged_document
from kefu_preprocess.domain.encode import encode_webp
from kefu_preprocess.domain.fit import resize
from kefu_preprocess.domain.values import (
    MEDIA_TYPE_WEBP,
    Limits,
    Page,
    Rendered,
    RenderJob,
)

# Dots per inch at which small print and the code of a stamp can still be read; scanners' usual setting.
_DPI = 200
_POINTS_PER_INCH = 72
# WebP stores 14 bits for each side (RFC 9649 §2.5).
_LONGEST_SIDE = 16383
# JPEG qualities tried, in order, for a page that is a photo and would be too large without loss.
_QUALITIES = (95, 85, 70)
_FLAGS = pdfium_c.FPDF_ANNOT | pdfium_c.FPDF_REVERSE_BYTE_ORDER


def render(job: RenderJob, limits: Limits) -> Rendered:
    """Every page, in order; deterministic, byte for byte. Raises KefuError."""
    admit_document(job, limits)
    with _open(job.data) as document:
        total = len(document)
        if total < 1:
            raise damaged_document("the document has no pages")
        if total > job.max_pages:
            raise KefuError(
                Reason.TOO_MANY_PICTURES,
                f"the document has {total} pages; at most {job.max_pages} are taken",
                field="data",
                limit=job.max_pages,
                got=total,
                unit="pages",
            )
        most_pixels = min(job.max_pixels, limits.max_pixels)
        most_bytes = limits.max_bytes // total
        pages = [_page(document, number, most_pixels, most_bytes) for number in range(1, total + 1)]
    return Rendered(pages=tuple(pages), total=total)


def page_size(points: tuple[float, float], max_pixels: int) -> tuple[int, int]:
    """(width, height) in pixels of a page of so many points (1/72 inch): 200 dots per inch, or what is allowed."""
    width, height = points
    scale = _DPI / _POINTS_PER_INCH
    scale = min(scale, math.sqrt(max_pixels / width / height), _LONGEST_SIDE / max(width, height))
    across, down = max(1, int(width * scale)), max(1, int(height * scale))
    # A strip thinner than a pixel was widened to one: its length alone must keep the limit.
    return min(across, max_pixels), min(down, max_pixels)


def _open(data: bytes) -> pdfium.PdfDocument:
    """`data` must outlive the document: PDFium reads from it."""
    # Not through PdfDocument(data): it takes a document without pages for one that failed to load, and then tells the
    # error of the document before it.
    raw = pdfium_c.FPDF_LoadMemDocument64(data, len(data), None)
    if raw:
        return pdfium.PdfDocument(raw)
    if pdfium_c.FPDF_GetLastError() in (pdfium_c.FPDF_ERR_PASSWORD, pdfium_c.FPDF_ERR_SECURITY):
        raise damaged_document(
            "the document is locked with a password; send it without one, or send pictures of its pages"
        )
    raise damaged_document()


def _page(document: pdfium.PdfDocument, number: int, max_pixels: int, max_bytes: int) -> Page:
    try:
        page = document[number - 1]
    except pdfium.PdfiumError:
        page = None
    if page is None:
        raise damaged_document(f"page {number} of the document is damaged")
    points = page.get_size()
    if not all(math.isfinite(each) and each > 0 for each in points):
        raise damaged_document(f"page {number} of the document has no size")
    width, height = page_size(points, max_pixels)
    bitmap = pdfium.PdfBitmap.new_native(width, height, pdfium_c.FPDFBitmap_BGR, rev_byteorder=True)
    try:
        bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
        pdfium_c.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, _FLAGS)
        pixels: Pixels = np.ascontiguousarray(bitmap.to_numpy())
    finally:
        bitmap.close()
        page.close()
    return _encoded(pixels, number, max_bytes)


def _encoded(pixels: Pixels, number: int, max_bytes: int) -> Page:
    """Lossless where that fits: drawn text and lines take little. A scanned photo becomes JPEG with full colour
    resolution, and is halved until it fits, so that no document makes a message that cannot be sent."""
    data, media_type = encode_webp(Image.fromarray(pixels), 0), MEDIA_TYPE_WEBP
    while len(data) > max_bytes:
        for quality in _QUALITIES:
            data, media_type = _jpeg(pixels, quality), "image/jpeg"
            if len(data) <= max_bytes:
                break
        else:
            rows, columns = pixels.shape[:2]
            if rows == columns == 1:
                break
            pixels = resize(pixels, max(1, columns // 2), max(1, rows // 2))
    size = (pixels.shape[1], pixels.shape[0])
    return Page(number=number, data=data, media_type=media_type, size=size)


def _jpeg(pixels: Pixels, quality: int) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "JPEG", quality=quality, subsampling=0)
    return sink.getvalue()
