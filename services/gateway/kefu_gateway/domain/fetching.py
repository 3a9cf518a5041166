"""Pictures by URL, as the domain sees them. Whether, and from where, is the operator's to say: `adapters/fetching`."""

from __future__ import annotations

from typing import Protocol


class PictureFetcher(Protocol):
    """Fetches what a caller's URL names."""

    async def fetch(self, url: str, *, timeout: float) -> bytes:
        """The encoded picture or document within `timeout` seconds. Its bytes begin like one of the accepted types and
        are no more than one picture may have; nothing else was checked. Raises KefuError whose field is "url"."""
        ...
