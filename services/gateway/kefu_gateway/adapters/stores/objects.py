"""Object stores by URL, through obstore: a folder, S3 and what speaks it, Google's, Azure's.

    objects = open_objects("file:///var/lib/kefu/objects")     # or s3://bucket/prefix, gs://…, az://…, memory:///

Keys and endpoints of the clouds come from their usual environment variables (AWS_ACCESS_KEY_ID, AWS_ENDPOINT …). Names
of tenants and uploads become SHA-256: no name can leave its folder, meet another on a file system that ignores case, or
be too long for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, from_url

from kefu_gateway.adapters.stores.failures import told

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

# A picture waits for the store within a customer's turn: it fails soon rather than trying for minutes.
RETRIES: RetryConfig = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
CLIENT: ClientConfig = {
    # Only for an endpoint that is written as http:// itself, a server beside ours. These options replace those of the
    # environment, AWS_ALLOW_HTTP too.
    "allow_http": True,
    "connect_timeout": timedelta(seconds=3),
    "timeout": timedelta(seconds=20),
}
# Hashing less than this takes less than handing it to a thread.
SMALL_BYTES = 64 * 1024


def open_objects(url: str) -> Objects:
    """Raises ValueError, without the URL, which may hold a key, where it is none that we know."""
    try:
        if url.startswith("file:"):
            return Objects(LocalStore.from_url(url, mkdir=True, automatic_cleanup=True))
        if url.startswith("memory:"):
            return Objects(MemoryStore())
        return Objects(from_url(url, retry_config=RETRIES, client_options=CLIENT))
    except (BaseError, OSError, ValueError) as error:
        raise ValueError("the address of the object store cannot be used") from error


class Objects:
    """The few things that we ask of an object store. Every method may raise KefuError(STORE_UNAVAILABLE)."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._folder = store.prefix if isinstance(store, LocalStore) else None

    async def put(self, path: str, data: bytes) -> None:
        """Writes the whole object or nothing; durable on return."""
        with _told():
            await obstore.put_async(self._store, path, data, use_multipart=False)
            await self._flush(path)

    async def create(self, path: str, data: bytes) -> bool:
        """Writes an object that is not there yet. False: it is."""
        with _told():
            try:
                await obstore.put_async(self._store, path, data, mode="create")
            except obstore.exceptions.AlreadyExistsError:
                return False
            await self._flush(path)
            return True

    async def get(self, path: str) -> bytes | None:
        with _told():
            try:
                found = await obstore.get_async(self._store, path)
                return bytes(await found.bytes_async())
            except FileNotFoundError:
                return None

    async def size(self, path: str) -> int | None:
        """Bytes; None where there is nothing."""
        with _told():
            try:
                return (await obstore.head_async(self._store, path))["size"]
            except FileNotFoundError:
                return None

    async def sizes(self, folder: str) -> dict[str, int]:
        """Every object below a folder, by path: bytes."""
        with _told():
            found: dict[str, int] = {}
            async for batch in obstore.list(self._store, folder):
                found.update({one["path"]: one["size"] for one in batch})
            return found

    async def folders(self, folder: str) -> list[str]:
        """The paths of the folders inside a folder."""
        with _told():
            found: Any = await obstore.list_with_delimiter_async(self._store, folder)
            return list(found["common_prefixes"])

    async def delete(self, *paths: str) -> None:
        """Deletes what is there of these."""
        with _told():
            for path in paths:
                # Some stores complain of what is not there, some do not.
                with suppress(FileNotFoundError):
                    await obstore.delete_async(self._store, path)

    async def _flush(self, path: str) -> None:
        """obstore writes a file aside and renames it, but leaves flushing to the system: after a power failure, an
        empty file would stand under a picture's name."""
        if self._folder is not None:
            await asyncio.to_thread(_flush_file, self._folder, path)


def digest(name: str) -> str:
    """A tenant's or an upload's name as part of a path."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


async def sha256_of(data: bytes) -> str:
    """Hexadecimal digits; 20 MiB take some 15 ms, away from the event loop."""
    if len(data) < SMALL_BYTES:
        return hashlib.sha256(data).hexdigest()
    return await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())


def _told() -> Any:
    return told("objects", BaseError, OSError)


def _flush_file(folder: Path, path: str) -> None:
    """The file and the folders on the way to it, which may be new as well."""
    names = [folder / path]
    while names[-1] != folder:
        names.append(names[-1].parent)
    with suppress(FileNotFoundError):  # deleted meanwhile
        for name in names:
            number = os.open(name, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)
