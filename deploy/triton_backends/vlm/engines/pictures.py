"""Encoded pictures to pixels, the same way for every engine."""

from __future__ import annotations

import io
import warnings

from PIL import Image

from engines.base import ContractError

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP")


def decode_picture(picture: bytes, max_pixels: int) -> Image.Image:
    """An RGB picture; ContractError(picture_undecodable) for what is none, or has more than max_pixels."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of a decompression bomb where it should refuse it.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(picture), formats=_FORMATS) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise ContractError(
                        "picture_undecodable", f"a picture has more than {max_pixels} pixels"
                    )
                return image.convert("RGB")
    except ContractError:
        raise
    # Decoders raise nearly anything on hostile bytes; their words stay here.
    except Exception as error:
        raise ContractError(
            "picture_undecodable", "a picture is not a readable JPEG, PNG, WebP or BMP"
        ) from error
