"""Two gateways restarted one after the other under 20 questions a second: the bench's check, shorter."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.rolling import measure
from tests.contract.stores.servers import valkey_program
from tests.e2e.conftest import need_triton

pytestmark = [
    pytest.mark.triton,
    pytest.mark.skipif(
        valkey_program() is None, reason="VALKEY IS MISSING: ./dev setup installs it"
    ),
]


async def test_nobody_notices_a_rolling_restart(tmp_path: Path) -> None:
    """Streams are finished, sessions go on at the other gateway, and each leaves in order with exit code 0."""
    need_triton()
    outcome = await measure(tmp_path, rate=20, seconds=1.5, settle=0.5)
    assert not outcome.failed
    assert outcome.answered == outcome.asked
    assert not outcome.broken_sessions
    assert outcome.under_way >= 10, "the signals met answers under way"
    assert outcome.streams >= 10
    assert [code for code, _ in outcome.restarts] == [0, 0]
    for events in outcome.order:
        assert events[-2:] == ["draining", "stopped"]
