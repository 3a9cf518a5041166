"""Encoded pictures as vLLM takes them, under a name that lets it skip what it did before."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from PIL import Image

from engines.pictures import decode_picture

# A sidecar made it smaller long before; this is for callers that ask Triton themselves.
_MOST_PIXELS = 50_000_000


@dataclass(slots=True)
class Picture:
    """A picture and the name under which vLLM keeps what its processor and the model made of it: its SHA-256, and the
    scope in which that may be used again."""

    data: bytes
    name: str
    image: Image.Image | None = None

    @classmethod
    def of(cls, data: bytes, scope: str = "") -> Picture:
        return cls(data, hashlib.sha256(data).hexdigest() + scope)

    def decoded(self) -> Image.Image:
        """RGB, decoded once; ContractError(picture_undecodable)."""
        if self.image is None:
            self.image = decode_picture(self.data, _MOST_PIXELS)
        return self.image
