"""Which format some bytes are, from the bytes alone, before any decoder sees them.

sniff(b"\\xff\\xd8\\xff...")  # Format.JPEG
"""

from __future__ import annotations

from enum import StrEnum

from kefu_common.errors import KefuError, Reason
from kefu_preprocess.domain.values import Limits


class Format(StrEnum):
    """The formats that are let in; the value is Pillow's name, so that no other decoder of Pillow's can be reached."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WEBP"
    BMP = "BMP"

    @property
    def media_type(self) -> str:
        """The IANA media type."""
        return f"image/{self.value.lower()}"


# Names that callers use for the same thing: old browsers, Windows, and a common mistake.
_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/x-ms-bmp": "image/bmp",
    "image/x-bmp": "image/bmp",
}
# What callers send when they do not know: no claim that could be wrong.
NO_CLAIM = frozenset({"", "application/octet-stream", "image/*"})


def sniff(data: bytes) -> Format | None:
    """The format by its signature (WHATWG MIME Sniffing §6.1, and the size of a BMP's second header), or None."""
    if data.startswith(b"\xff\xd8\xff"):
        return Format.JPEG
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return Format.PNG
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return Format.WEBP
    # "BM" alone begins too many texts: the DIB header's size must be one that exists.
    if data.startswith(b"BM") and data[14:18] in _DIB_SIZES:
        return Format.BMP
    return None


_DIB_SIZES = frozenset(size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124))


def admit(data: bytes, declared: str, limits: Limits) -> Format:
    """Lets a picture in by its size and signature alone; microseconds, nothing is decoded.

    Raises KefuError PICTURE_EMPTY, PICTURE_TOO_LARGE, PICTURE_FORMAT_UNSUPPORTED (field "data") or
    PICTURE_MEDIA_TYPE_MISMATCH (field "media_type").
    """
    if not data:
        raise KefuError(Reason.PICTURE_EMPTY, "the picture has no bytes", field="data")
    if len(data) > limits.max_bytes:
        raise KefuError(
            Reason.PICTURE_TOO_LARGE,
            f"the picture has {len(data)} bytes; at most {limits.max_bytes} are taken",
            field="data",
            limit=limits.max_bytes,
            got=len(data),
            unit="bytes",
        )
    found = sniff(data)
    if found is None:
        raise KefuError(
            Reason.PICTURE_FORMAT_UNSUPPORTED,
            "the bytes are not a JPEG, PNG, WebP or BMP picture",
            field="data",
            allowed=",".join(each.media_type for each in Format),
        )
    claim = declared.partition(";")[0].strip().lower()
    if claim not in NO_CLAIM and _ALIASES.get(claim, claim) != found.media_type:
        raise KefuError(
            Reason.PICTURE_MEDIA_TYPE_MISMATCH,
            f"the bytes are {found.media_type}, which is not the declared media type",
            field="media_type",
            declared=claim[:64],
            found=found.media_type,
        )
    return found


def damaged(found: Format) -> KefuError:
    """The error for bytes that begin like a picture and cannot be decoded."""
    return KefuError(
        Reason.PICTURE_DAMAGED,
        "the picture is damaged or cut short; send it again",
        field="data",
        format=found.media_type,
    )
