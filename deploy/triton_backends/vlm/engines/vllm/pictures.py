"""Encoded pictures as vLLM takes them, under a name that lets it skip what it did before."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass

from PIL import Image

from engines.base import ContractError

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP")


# A sidecar made it smaller long before; this is for callers that ask Triton themselves.
MOST_PIXELS = 50_000_000


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
            self.image = decode(self.data, MOST_PIXELS)
        return self.image


def decode(data: bytes, most_pixels: int) -> Image.Image:
    """RGB; ContractError(picture_undecodable). A decoder's own words stay here: they have leaked addresses."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                if image.width * image.height > most_pixels:
                    raise ContractError(
                        "picture_undecodable",
                        f"a picture has {image.width}×{image.height} pixels, more than {most_pixels}",
                    )
                return image.convert("RGB")
    except ContractError:
        raise
    except Exception as error:  # decoders raise nearly anything on hostile bytes
        raise ContractError(
            "picture_undecodable", "a picture is not a whole JPEG, PNG, WebP or BMP"
        ) from error
