"""Opens the stores that the settings name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from kefu_gateway.adapters.stores.objects import open_objects
from kefu_gateway.adapters.stores.opening import open_sessions
from kefu_gateway.adapters.stores.pictures import ObjectPictures
from kefu_gateway.adapters.stores.sweeper import sweep_forever
from kefu_gateway.adapters.stores.uploads import ObjectUploads
from kefu_gateway.app.tasks import cancel_all
from kefu_gateway.config import Settings
from kefu_gateway.domain.session import PictureStore, SessionStore
from kefu_gateway.domain.uploads import UploadStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Where state is kept. Tests and several gateways in one process may share one."""

    sessions: SessionStore
    pictures: PictureStore
    uploads: UploadStore


@asynccontextmanager
async def open_stores(settings: Settings) -> AsyncIterator[Stores]:
    """The stores that the settings name, swept of what has outlived its time. Raises ValueError, naming the setting."""
    objects = open_objects(settings.objects_url)
    limits = settings.upload_limits
    uploads = ObjectUploads(objects, limits)
    pictures = ObjectPictures(objects)
    async with open_sessions(settings.sessions_url) as sessions:
        sweeping = asyncio.create_task(
            sweep_forever(sessions, pictures, uploads, every=settings.sweep_seconds)
        )
        try:
            yield Stores(sessions=sessions, pictures=pictures, uploads=uploads)
        finally:
            await cancel_all([sweeping])
