"""The checks of dependencies end when they are told to."""

from __future__ import annotations

import asyncio

from kefu_gateway.adapters.health import Check, Health


async def test_a_probe_that_swallows_its_cancellation_does_not_keep_the_gateway_from_leaving() -> (
    None
):
    """Found by rolling restarts on a busy machine: one gateway in ten had drained and then hung until it was killed,
    because a probe had answered the cancellation with an ordinary error."""
    began = asyncio.Event()

    async def probe() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("cancelled, says the library") from None

    health = Health([Check("stubborn", probe, every=0.001, timeout=60)], lambda name, up: None)
    running = asyncio.create_task(health.run())
    await began.wait()
    running.cancel()
    done, _ = await asyncio.wait({running}, timeout=60)
    assert done
    assert running.cancelled()
