"""Deletes what has outlived its time: sessions, the pictures that nobody uses then, uploads.

    task = asyncio.create_task(sweep_forever(sessions, pictures, uploads, every=60))

Every gateway may sweep: two that meet do the same work twice, and no harm.
"""

from __future__ import annotations

import asyncio
import random

import structlog

from kefu_common.errors import KefuError
from kefu_gateway.domain.session import PictureStore, SessionStore
from kefu_gateway.domain.uploads import UploadStore

log = structlog.get_logger()


async def sweep(sessions: SessionStore, pictures: PictureStore, uploads: UploadStore) -> None:
    """One round. Raises KefuError(STORE_UNAVAILABLE); the next round does what this one left."""
    unused = await sessions.expire()
    for tenant, sha256 in unused:
        await pictures.delete(tenant, sha256)
    gone = await uploads.expire()
    if unused or gone:
        log.info("swept", pictures=len(unused), uploads=gone)


async def sweep_forever(
    sessions: SessionStore, pictures: PictureStore, uploads: UploadStore, *, every: float
) -> None:
    """A round every so many seconds, a little more or less, so that gateways started together spread out."""
    while True:
        await asyncio.sleep(every * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
        try:
            await sweep(sessions, pictures, uploads)
        except KefuError as error:
            log.warning("sweep failed", reason=error.reason.value)
