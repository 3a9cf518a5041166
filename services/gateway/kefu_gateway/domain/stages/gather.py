"""gather: the bytes of every picture, prepared by the sidecar in parallel; each is reported as soon as it is ready.

A document becomes its pages first. From here on they are pictures like any other, so that everything behind, a later
round of the session for one, needs to know of no documents.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.answer import Event, PictureReady
from kefu_gateway.domain.fetching import PictureFetcher
from kefu_gateway.domain.pictures import PictureShelf
from kefu_gateway.domain.ports import DocumentRenderer, PreparedPicture
from kefu_gateway.domain.question import (
    CropMode,
    Limits,
    Part,
    PicturePart,
    is_document,
    part_field,
)
from kefu_gateway.domain.stages.base import Telling
from kefu_gateway.domain.turn import Turn
from kefu_gateway.domain.uploads import UploadStore, check_upload_id

# Preparing takes tens of milliseconds; a third of the deadline is plenty and leaves the rest to the model.
SHARE = 0.34
FLOOR_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Picture:
    """A picture to be prepared: `index` is the place among the caller's parts of the one that it came from."""

    index: int
    part: PicturePart
    data: bytes


class Gather(Telling):
    name = "gather"

    def __init__(
        self,
        shelf: PictureShelf,
        uploads: UploadStore,
        renderer: DocumentRenderer,
        limits: Limits,
        fetcher: PictureFetcher | None = None,
    ) -> None:
        """`fetcher`: None where pictures by URL are off."""
        self._shelf = shelf
        self._uploads = uploads
        self._renderer = renderer
        self._limits = limits
        self._fetcher = fetcher

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        if not turn.question.pictures:
            return
        pictures = await self._pictures(turn, self._slice(turn))
        # Anew: drawing a document may have taken long.
        timeout = self._slice(turn)
        tasks = [
            asyncio.create_task(self._prepare(turn, number, picture, timeout))
            for number, picture in enumerate(pictures)
        ]
        try:
            for task in asyncio.as_completed(tasks):
                yield PictureReady((await task).report)
        finally:
            # One refused picture refuses the turn: the others' work is of no use any more.
            await _dropped(tasks)
        turn.originals = [picture.data for picture in pictures]
        turn.pictures = [task.result() for task in tasks]

    async def _pictures(self, turn: Turn, timeout: float) -> list[_Picture]:
        """Every picture with its bytes; the pages of documents take their documents' places in the question."""
        tasks = [
            asyncio.create_task(self._read(turn, index, part, timeout))
            for index, part in turn.question.pictures
        ]
        try:
            found = await asyncio.gather(*tasks)
        finally:
            await _dropped(tasks)
        pictures: list[_Picture] = []
        documents = 0
        for some in found:
            if some[0].part.page:
                documents += 1
                some = [replace(page, part=replace(page.part, document=documents)) for page in some]
            pictures += some
        if documents:
            self._check_count(turn, len(pictures))
            turn.question = replace(turn.question, parts=_with_pages(turn.question.parts, pictures))
        return pictures

    def _slice(self, turn: Turn) -> float:
        return turn.deadline.slice(SHARE, floor=FLOOR_SECONDS, stage=self.name)

    def _most(self, turn: Turn) -> int:
        return min(self._limits.pictures, turn.card.max_pictures)

    def _check_count(self, turn: Turn, count: int) -> None:
        """Pages count as the pictures that they are; only now is it known how many they are."""
        if count > self._most(turn):
            raise KefuError(
                Reason.TOO_MANY_PICTURES,
                f"the question has {count} pictures, the pages of its documents counted; at most "
                f"{self._most(turn)} are allowed for the model {turn.card.name!r}",
                field="question.parts",
                limit=self._most(turn),
                got=count,
            )

    async def _read(
        self, turn: Turn, index: int, part: PicturePart, timeout: float
    ) -> Sequence[_Picture]:
        """The bytes of a picture, or those of each page of a document."""
        try:
            data, media_type = await self._bytes(turn.question.tenant, part, timeout)
            if not is_document(media_type, data):
                return [_Picture(index, part, data)]
            pages = await self._renderer.render(
                data,
                media_type,
                tenant=turn.question.tenant,
                max_pages=self._most(turn),
                max_pixels=min(self._limits.picture_pixels, turn.card.preprocess.max_pixels),
                timeout=timeout,
            )
        except KefuError as error:
            raise _told_of(index, part, error) from None
        # A page has no status bar that could be cut off; whoever forces it (screenshots saved as a PDF) may.
        crop = CropMode.FORCE if part.crop_mode is CropMode.FORCE else CropMode.FORBID
        drawn = replace(part, data=None, upload_id=None, url=None, crop_mode=crop)
        return [
            _Picture(
                index,
                replace(drawn, data=page.data, media_type=page.media_type, page=page.number),
                page.data,
            )
            for page in pages
        ]

    async def _prepare(
        self, turn: Turn, number: int, picture: _Picture, timeout: float
    ) -> PreparedPicture:
        part = picture.part
        try:
            prepared = await self._shelf.prepare(
                turn.question.tenant,
                part,
                picture.data,
                turn.card,
                language=turn.language,
                timeout=timeout,
            )
        except KefuError as error:
            raise _told_of(picture.index, part, error) from None
        report = replace(prepared.report, index=number, page=part.page, document=part.document)
        return replace(prepared, report=report)

    async def _bytes(self, tenant: str, part: PicturePart, timeout: float) -> tuple[bytes, str]:
        """The bytes as sent, and their declared media type."""
        if part.data is not None:
            return part.data, part.media_type
        if part.upload_id is not None:
            return await self._uploaded(tenant, part.upload_id, part.media_type)
        if part.url is not None and self._fetcher is not None:
            return await self._fetcher.fetch(part.url, timeout=timeout), part.media_type
        raise KefuError(
            Reason.PICTURE_SOURCE_DISABLED,
            "pictures by URL are switched off on this server; send the bytes as `data`, or upload them",
            field="url",
            source="url",
        )

    async def _uploaded(self, tenant: str, upload_id: str, media_type: str) -> tuple[bytes, str]:
        check_upload_id(upload_id, "upload_id")
        found = await self._uploads.read(tenant, upload_id)
        if found is None:
            raise KefuError(
                Reason.UPLOAD_NOT_FOUND,
                "there is no complete upload of this id, or its time is over",
                field="upload_id",
                upload_id=upload_id,
            )
        return found.data, media_type or found.media_type


def _told_of(index: int, part: PicturePart, error: KefuError) -> KefuError:
    """The error, told of the caller's part: whoever found it knew "data" alone."""
    if not error.field:
        return error
    field = "url" if part.url is not None and error.field == "data" else error.field
    return error.at(part_field(index, field))


def _with_pages(parts: Sequence[Part], pictures: Sequence[_Picture]) -> tuple[Part, ...]:
    pages: dict[int, list[Part]] = {}
    for picture in pictures:
        pages.setdefault(picture.index, []).append(picture.part)
    return tuple(each for index, part in enumerate(parts) for each in pages.get(index, [part]))


async def _dropped(tasks: Sequence[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
