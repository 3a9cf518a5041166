"""Which types are accepted from a URL, and what the first bytes say they are."""

from __future__ import annotations

from kefu_gateway.adapters.fetching.outcomes import Outcome, Refused
from kefu_gateway.domain.question import ACCEPTED_TYPES, PDF

# What object stores say of a file whose type nobody told them: the bytes decide.
_UNTOLD = frozenset({"", "application/octet-stream", "binary/octet-stream"})
# Names that servers use for the registered ones.
_SAME = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-ms-bmp": "image/bmp"}

# The longest beginning that tells a type: RIFF, four bytes of length, WEBP.
ENOUGH = 12


def check_declared(content_type: str) -> str:
    """The declared type in its registered name, "" where it says nothing. Raises Refused for any other."""
    declared = content_type.partition(";")[0].strip().lower()
    if declared in _UNTOLD:
        return ""
    declared = _SAME.get(declared, declared)
    if declared not in ACCEPTED_TYPES:
        raise Refused(Outcome.TYPE_REFUSED)
    return declared


def check_beginning(beginning: bytes, declared: str) -> None:
    """Whether the bytes begin as an accepted type, and as the declared one. Raises Refused."""
    found = type_of(beginning)
    if not found:
        raise Refused(Outcome.TYPE_REFUSED)
    if declared and declared != found:
        raise Refused(Outcome.TYPE_MISMATCH, declared=declared, found=found)


def type_of(beginning: bytes) -> str:
    """The media type that the bytes begin like; "" where it is none of the accepted ones."""
    if beginning.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if beginning.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if beginning.startswith(b"RIFF") and beginning[8:12] == b"WEBP":
        return "image/webp"
    if beginning.startswith(b"BM"):
        return "image/bmp"
    return PDF if beginning.startswith(b"%PDF-") else ""
