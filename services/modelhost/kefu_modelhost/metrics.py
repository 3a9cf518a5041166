"""The one number that the supervisor reads from Triton's /metrics: whether a model is getting on with its work."""

from __future__ import annotations

import asyncio
import re

_TIMEOUT = 3.0


async def gives_metrics(address: str) -> bool:
    """Whether the server answers at all."""
    return await _page(address) is not None


async def read_progress(address: str, model: str) -> float | None:
    """`kefu_vlm_progress_total` of a model; None when the server does not say."""
    text = await _page(address)
    if text is None:
        return None
    pattern = rf'^kefu_vlm_progress_total{{[^}}]*model="{re.escape(model)}"[^}}]*}} ([0-9.e+]+)$'
    found = re.search(pattern, text, re.MULTILINE)
    return float(found[1]) if found else None


async def _page(address: str) -> str | None:
    try:
        async with asyncio.timeout(_TIMEOUT):
            return await _get(address)
    except (OSError, TimeoutError):
        return None


async def _get(address: str) -> str:
    # One fixed request to a loopback server that closes the connection: no HTTP client is worth its dependency here.
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(f"GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
        await writer.drain()
        return (await reader.read()).decode("utf-8", "replace")
    finally:
        writer.close()
