"""What a file is, from its first bytes."""

from __future__ import annotations

# Enough for every signature below.
HEAD_BYTES = 16


def media_type_of(head: bytes) -> str:
    """The media type of a picture or a document that Kefu takes, or "" for anything else.

    media_type_of(Path("order.png").read_bytes()) == "image/png"
    """
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    # Two letters alone would make a bitmap of a note about BMW: the reserved bytes are 0 in every bitmap.
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return "image/bmp"
    if head.startswith(b"%PDF-"):
        return "application/pdf"
    return ""
