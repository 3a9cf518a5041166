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
    """A picture and its SHA-256: the name under which vLLM keeps what its processor and the model made of it."""

    data: bytes
    name: str
    image: Image.Image | None = None

    @classmethod
    def of(cls, data: bytes) -> Picture:
        return cls(data, hashlib.sha256(data).hexdigest())

    def decoded(self) -> Image.Image:
        """RGB, decoded once; ContractError(picture_undecodable)."""
        if self.image is None:
            self.image = decode_picture(self.data, _MOST_PIXELS)
        return self.image
