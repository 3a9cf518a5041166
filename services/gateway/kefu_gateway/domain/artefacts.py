"""Pictures that an engine draws to explain an answer, kept beside the answer and not in it.

    {"attention": [{"picture": 0, "media_type": "image/webp", "data": "UklGR…"}]}     as the engine sends it
    {"attention": [{"picture": 0, "media_type": "image/webp", "upload_id": "d-…"}]}   as the caller gets it

Answers are kept in transcripts, and transcripts hold no pictures.  The bytes go to the tenant's uploads, whose time to
live and deletion they share; `MediaService.Download` gives them out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

from kefu_common.errors import KefuError
from kefu_gateway.domain.uploads import UploadPlan, UploadStore

_MEDIA_TYPES = ("image/webp", "image/png")
_MOST = 32


class Artefacts:
    """Keeps an engine's pictures as uploads of whom they were drawn for."""

    def __init__(self, uploads: UploadStore) -> None:
        self._uploads = uploads

    async def keep(self, tenant: str, debug: Mapping[str, Any]) -> dict[str, Any]:
        """The same without bytes.  A picture that cannot be kept says why (`not_kept`): the answer is worth more."""
        kept: dict[str, Any] = {}
        count = 0
        for name, value in debug.items():
            if not isinstance(value, list):
                kept[name] = value
                continue
            kept[name] = []
            for item in value:
                if isinstance(item, dict) and "data" in item:
                    count += 1
                    rest = {key: part for key, part in item.items() if key != "data"}
                    link = await self._link(tenant, item) if count <= _MOST else _not("TOO_MANY")
                    item = rest | link
                kept[name].append(item)
        return kept

    async def _link(self, tenant: str, item: Mapping[str, Any]) -> dict[str, str]:
        try:
            data = base64.b64decode(item["data"], validate=True)
        except (binascii.Error, TypeError, ValueError):
            return _not("UNREADABLE")
        if not data or item.get("media_type") not in _MEDIA_TYPES:
            return _not("UNREADABLE")
        plan = UploadPlan(
            # Nobody can guess it, and no caller's own upload has it.
            upload_id=f"d-{uuid.uuid4().hex}",
            media_type=item["media_type"],
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
        try:
            async with self._uploads.receive(tenant, plan) as reception:
                await reception.append(0, data)
                await reception.finish()
        except KefuError as error:
            return _not(error.reason.name)
        return {"upload_id": plan.upload_id}


def _not(reason: str) -> dict[str, str]:
    return {"not_kept": reason}
