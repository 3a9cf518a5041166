"""A sidecar inside the process: gives back each picture as it got it.

shelf = PictureShelf(EchoPreparer(), store, cache_bytes=1000)
"""

from __future__ import annotations

import hashlib

from kefu_gateway.domain.answer import PictureReport, Size
from kefu_gateway.domain.card import ModelCard
from kefu_gateway.domain.ports import PreparedPicture
from kefu_gateway.domain.question import PicturePart


class EchoPreparer:
    """Implements the port Preparer."""

    async def prepare(
        self,
        picture: PicturePart,
        data: bytes,
        card: ModelCard,
        *,
        tenant: str,
        language: str,
        timeout: float,
    ) -> PreparedPicture:
        report = PictureReport(
            index=0,
            sha256=hashlib.sha256(data).hexdigest(),
            media_type=picture.media_type,
            original=Size(1, 1),
            prepared=Size(1, 1),
            original_bytes=len(data),
            prepared_bytes=len(data),
            milliseconds=7.0,
        )
        return PreparedPicture(data=data, report=report)
