"""Pictures by the SHA-256 of their bytes, each tenant's in a folder of its own.

    pictures = ObjectPictures(open_objects("file:///var/lib/kefu/objects"))
    sha256 = await pictures.put("acme", data)

Who uses a picture is the session store's to know (`SessionStore.use_pictures`, `delete`, `expire`): nothing expires
here by itself.
"""

from __future__ import annotations

import re

import structlog

from kefu_gateway.adapters.stores.objects import Objects, digest, sha256_of

log = structlog.get_logger()

_SHA256 = re.compile(r"[0-9a-f]{64}")


class ObjectPictures:
    """Implements `domain.session.PictureStore`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def put(self, tenant: str, data: bytes) -> str:
        sha256 = await sha256_of(data)
        path = _path(tenant, sha256)
        # A file of another length is what a power failure left of one.
        if await self._objects.size(path) != len(data):
            await self._objects.put(path, data)
        return sha256

    async def get(self, tenant: str, sha256: str) -> bytes | None:
        if not _SHA256.fullmatch(sha256):
            return None
        data = await self._objects.get(_path(tenant, sha256))
        if data is not None and await sha256_of(data) != sha256:
            # The model must not be shown, nor a rule applied to, anything but what the customer sent.
            log.error("a kept picture has changed", sha256=sha256, bytes=len(data))
            return None
        return data

    async def delete(self, tenant: str, sha256: str) -> None:
        if _SHA256.fullmatch(sha256):
            await self._objects.delete(_path(tenant, sha256))


def _path(tenant: str, sha256: str) -> str:
    # Two levels, so that no folder holds millions of files.
    return f"pictures/{digest(tenant)}/{sha256[:2]}/{sha256}"
