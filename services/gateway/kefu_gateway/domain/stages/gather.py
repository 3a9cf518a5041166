"""gather: the bytes of every picture, prepared by the sidecar in parallel; each is reported as soon as it is ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.answer import Event, PictureReady
from kefu_gateway.domain.pictures import PictureShelf
from kefu_gateway.domain.ports import PreparedPicture
from kefu_gateway.domain.question import PicturePart, part_field
from kefu_gateway.domain.stages.base import Telling
from kefu_gateway.domain.turn import Turn
from kefu_gateway.domain.uploads import UploadStore, check_upload_id

# Preparing takes tens of milliseconds; a third of the deadline is plenty and leaves the rest to the model.
SHARE = 0.34
FLOOR_SECONDS = 5.0


class Gather(Telling):
    name = "gather"

    def __init__(self, shelf: PictureShelf, uploads: UploadStore) -> None:
        self._shelf = shelf
        self._uploads = uploads

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        pictures = turn.question.pictures
        if not pictures:
            return
        timeout = turn.deadline.slice(SHARE, floor=FLOOR_SECONDS, stage=self.name)
        tasks = [
            asyncio.create_task(self._prepare(turn, number, index, part, timeout))
            for number, (index, part) in enumerate(pictures)
        ]
        try:
            for task in asyncio.as_completed(tasks):
                yield PictureReady((await task)[1].report)
        finally:
            # One refused picture refuses the turn: the others' work is of no use any more.
            for pending in tasks:
                pending.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        turn.originals = [task.result()[0] for task in tasks]
        turn.pictures = [task.result()[1] for task in tasks]

    async def _prepare(
        self, turn: Turn, number: int, index: int, part: PicturePart, timeout: float
    ) -> tuple[bytes, PreparedPicture]:
        tenant = turn.question.tenant
        try:
            data = await self._bytes(tenant, part)
            prepared = await self._shelf.prepare(
                tenant, part, data, turn.card, language=turn.language, timeout=timeout
            )
        except KefuError as error:
            raise error.at(part_field(index, error.field)) if error.field else error from None
        return data, replace(prepared, report=replace(prepared.report, index=number))

    async def _bytes(self, tenant: str, part: PicturePart) -> bytes:
        if part.data is not None:
            return part.data
        if part.upload_id is not None:
            return await self._uploaded(tenant, part.upload_id)
        raise KefuError(
            Reason.PICTURE_SOURCE_DISABLED,
            "pictures by URL are switched off on this server; send the bytes as `data`, or upload them",
            field="url",
            source="url",
        )

    async def _uploaded(self, tenant: str, upload_id: str) -> bytes:
        check_upload_id(upload_id, "upload_id")
        found = await self._uploads.read(tenant, upload_id)
        if found is None:
            raise KefuError(
                Reason.UPLOAD_NOT_FOUND,
                "there is no complete upload of this id, or its time is over",
                field="upload_id",
                upload_id=upload_id,
            )
        return found.data
