"""Pictures by URL, where the settings name hosts."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from kefu_gateway.adapters.fetching.addresses import AddressRules
from kefu_gateway.adapters.fetching.resolver import SystemResolver
from kefu_gateway.adapters.fetching.urls import UrlRules
from kefu_gateway.config import Settings
from kefu_gateway.domain.fetching import PictureFetcher


def open_fetcher(settings: Settings, counted: Callable[[str], None]) -> PictureFetcher | None:
    """None where no host is named. Raises OSError where the authority's file cannot be read."""
    if not settings.url_hosts:
        return None
    # Not imported where it is off: what is not there cannot be reached.
    from kefu_gateway.adapters.fetching.fetcher import FetchLimits, UrlFetcher

    named = settings.url_authority != Path()
    return UrlFetcher(
        FetchLimits(
            picture_bytes=settings.picture_bytes,
            redirects=settings.url_redirects,
            at_once=settings.url_fetches,
            connect=settings.url_connect_seconds,
            silence=settings.url_silence_seconds,
            total=settings.url_seconds,
        ),
        UrlRules.read(settings.url_hosts, settings.url_ports),
        AddressRules.read(settings.url_networks),
        SystemResolver(),
        ssl.create_default_context(cafile=str(settings.url_authority) if named else None),
        counted,
    )
