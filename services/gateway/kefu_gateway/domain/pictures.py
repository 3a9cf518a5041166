"""Pictures on their way to a prompt: prepared once, kept by hash, found again for a follow-up.

prepared = await shelf.prepare(tenant, part, data, card, language="zh", timeout=5)
prepared = await shelf.fetch(tenant, part, card, language="zh", timeout=5)   # part.sha256, from the picture store
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from kefu_common.errors import KefuError, Reason
from kefu_common.single_flight import SingleFlight
from kefu_gateway.domain.card import ModelCard
from kefu_gateway.domain.ports import PicturePreparer, PreparedPicture
from kefu_gateway.domain.question import PicturePart
from kefu_gateway.domain.session import PictureStore

_Key = tuple[str, str, str, str, bool, str]


class PicturesAtHand:
    """The prepared pictures of requests whose callers wait here: a turn takes them without looking anywhere else."""

    def __init__(self) -> None:
        self._laid: dict[tuple[str, str], Sequence[PreparedPicture]] = {}

    @contextmanager
    def laid(
        self, tenant: str, request_id: str, pictures: Sequence[PreparedPicture]
    ) -> Iterator[None]:
        key = (tenant, request_id)
        self._laid[key] = pictures
        try:
            yield
        finally:
            self._laid.pop(key, None)

    def take(self, tenant: str, request_id: str) -> Sequence[PreparedPicture] | None:
        return self._laid.get((tenant, request_id))


class PictureShelf:
    """Prepares pictures through the sidecar and remembers the last ones, at most `cache_bytes` of prepared bytes.

    The tenant is part of the key: a hit tells that somebody sent these bytes before, which is nobody else's business.
    """

    def __init__(self, preparer: PicturePreparer, store: PictureStore, *, cache_bytes: int) -> None:
        self._preparer = preparer
        self._store = store
        self._cache_bytes = cache_bytes
        self._held = 0
        self._cache: OrderedDict[_Key, PreparedPicture] = OrderedDict()
        self._flight: SingleFlight[_Key, PreparedPicture] = SingleFlight()

    async def prepare(
        self,
        tenant: str,
        part: PicturePart,
        data: bytes,
        card: ModelCard,
        *,
        language: str,
        timeout: float,
    ) -> PreparedPicture:
        """A picture whose bytes are at hand. Raises KefuError, its field being "data" or "media_type"."""
        sha256 = part.sha256 or hashlib.sha256(data).hexdigest()
        key = self._key(tenant, sha256, part, card, language)
        found = self._take(key)
        if found is not None:
            return found

        async def work() -> PreparedPicture:
            prepared = await self._preparer.prepare(
                part, data, card, tenant=tenant, language=language, timeout=timeout
            )
            prepared = replace(prepared, id="|".join(map(str, key[1:])))
            self._hold(key, prepared)
            return prepared

        joining = key in self._flight
        try:
            prepared, joined = await self._flight.do(key, work)
        except KefuError as error:
            if not joining or error.reason is not Reason.DEADLINE_EXCEEDED:
                raise
            # The other caller had less time left than this one.
            prepared, joined = await self._flight.do(key, work)
        return _once_more(prepared) if joined else prepared

    async def keep(self, tenant: str, data: bytes) -> str:
        """Stores the bytes as sent, for the session's later rounds; their hash."""
        return await self._store.put(tenant, data)

    async def fetch(
        self, tenant: str, part: PicturePart, card: ModelCard, *, language: str, timeout: float
    ) -> PreparedPicture:
        """A picture that is known by its hash. Raises KefuError(STORE_UNAVAILABLE) where its bytes are gone."""
        found = self._take(self._key(tenant, part.sha256, part, card, language))
        if found is not None:
            return found
        data = await self._store.get(tenant, part.sha256)
        if data is None:
            raise KefuError(
                Reason.STORE_UNAVAILABLE,
                "a picture of this session is not in the picture store any more",
                dependency="pictures",
            )
        return await self.prepare(tenant, part, data, card, language=language, timeout=timeout)

    def _key(
        self, tenant: str, sha256: str, part: PicturePart, card: ModelCard, language: str
    ) -> _Key:
        return (tenant, sha256, card.name, part.crop_mode.value, part.find_elements, language)

    def _take(self, key: _Key) -> PreparedPicture | None:
        found = self._cache.get(key)
        if found is None:
            return None
        self._cache.move_to_end(key)
        return _once_more(found)

    def _hold(self, key: _Key, prepared: PreparedPicture) -> None:
        if key in self._cache or len(prepared.data) > self._cache_bytes:
            return
        self._cache[key] = prepared
        self._held += len(prepared.data)
        while self._held > self._cache_bytes:
            _, dropped = self._cache.popitem(last=False)
            self._held -= len(dropped.data)


def _once_more(prepared: PreparedPicture) -> PreparedPicture:
    """As it is reported where another request's work gave it."""
    return replace(prepared, report=replace(prepared.report, cached=True, milliseconds=0.0))
