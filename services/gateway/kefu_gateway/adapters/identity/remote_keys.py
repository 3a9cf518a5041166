"""A key set (JWKS) from an address: kept, asked for again from time to time, and when a token names an unknown key."""

from __future__ import annotations

import asyncio
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import structlog

from kefu_gateway.adapters.identity.reloading import FileProblem
from kefu_gateway.adapters.identity.tokens import KeySet

log = structlog.get_logger()

MOST_BYTES = 1024 * 1024
TIMEOUT_SECONDS = 5.0
# Whoever sends tokens with invented key ids must not make us flood the issuer.
PAUSE_SECONDS = 10.0
# While there is no key set at all, every token is turned away: ask more often.
FIRST_PAUSE_SECONDS = 1.0


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The address is a setting: whoever answers there must not send us elsewhere, to http for one."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class RemoteKeys:
    """Implements `tokens.KeySource`. `read` makes a key set of a document; `told(name, good)` hears of every try."""

    def __init__(
        self, url: str, read: Callable[[bytes], KeySet], told: Callable[[str, bool], None]
    ) -> None:
        self._url = url
        self._read = read
        self._told = told
        self._opener = urllib.request.build_opener(_NoRedirects())
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None
        self.value: KeySet | None = None

    async def again(self) -> None:
        pause = FIRST_PAUSE_SECONDS if self.value is None else PAUSE_SECONDS
        if self._asking is None and time.monotonic() - self._asked_at < pause:
            return
        await self.ask()

    async def ask(self) -> None:
        """Asks now; whoever comes meanwhile waits for the same answer. A failure leaves the old key set."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        # Shielded: one caller that leaves does not end it for the others.
        await asyncio.shield(self._asking)

    async def run(self, every: float) -> None:
        """Asks every so many seconds until cancelled, and sooner as long as there is nothing."""
        while True:
            await self.ask()
            await asyncio.sleep(every if self.value is not None else FIRST_PAUSE_SECONDS)

    async def _ask(self) -> None:
        try:
            document = await asyncio.to_thread(self._fetch)
            self.value = self._read(document)
        except (OSError, ValueError) as error:
            # Its words may quote what the other side said; a FileProblem's are ours.
            problem = str(error) if isinstance(error, FileProblem) else type(error).__name__
            log.warning("the key set was not got; the old one stays", problem=problem)
            self._told("jwks", False)
        else:
            self._told("jwks", True)
        finally:
            self._asked_at = time.monotonic()
            self._asking = None

    def _fetch(self) -> bytes:
        # The address is a setting of ours, never a caller's, and begins with https:// or is on this machine.
        with self._opener.open(self._url, timeout=TIMEOUT_SECONDS) as response:
            document: bytes = response.read(MOST_BYTES + 1)
        if len(document) > MOST_BYTES:
            raise FileProblem(f"the key set has more than {MOST_BYTES} bytes")
        return document
