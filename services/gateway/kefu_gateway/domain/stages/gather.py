"""gather: the bytes of every picture, prepared by the sidecar in parallel; each is reported as soon as it is ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.answer import Event, PictureReady
from kefu_gateway.domain.ports import PicturePreparer, PreparedPicture
from kefu_gateway.domain.question import PicturePart, part_field
from kefu_gateway.domain.turn import Turn

# Preparing takes tens of milliseconds; a third of the deadline is plenty and leaves the rest to the model.
SHARE = 0.34
FLOOR_SECONDS = 5.0


class Gather:
    name = "gather"

    def __init__(self, preparer: PicturePreparer) -> None:
        self._preparer = preparer

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
                yield PictureReady((await task).report)
        finally:
            # One refused picture refuses the turn: the others' work is of no use any more.
            for pending in tasks:
                pending.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        turn.pictures = [task.result() for task in tasks]

    async def _prepare(
        self, turn: Turn, number: int, index: int, part: PicturePart, timeout: float
    ) -> PreparedPicture:
        try:
            prepared = await self._preparer.prepare(
                part, self._bytes(part), turn.card, language=turn.language, timeout=timeout
            )
        except KefuError as error:
            raise error.at(part_field(index, error.field)) if error.field else error from None
        return replace(prepared, report=replace(prepared.report, index=number))

    def _bytes(self, part: PicturePart) -> bytes:
        if part.data is not None:
            return part.data
        source = "url" if part.url is not None else "upload_id"
        raise KefuError(
            Reason.PICTURE_SOURCE_DISABLED,
            f"pictures by {source} are switched off on this server; send the bytes as `data`",
            field=source,
            source=source,
        )
