"""Two real gateways, one real Valkey, one gateway killed in the middle: the bench's check on a smaller load."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.handover import measure
from tests.contract.stores.servers import valkey_program
from tools.house import ROOT

pytestmark = [
    pytest.mark.triton,
    pytest.mark.skipif(
        not (ROOT / ".kefu/envs/triton/bin/python").exists(),
        reason="TRITON IS MISSING: ./dev setup installs it",
    ),
    pytest.mark.skipif(
        valkey_program() is None, reason="VALKEY IS MISSING: ./dev setup installs it"
    ),
]


async def test_nothing_is_lost_or_answered_twice_when_a_gateway_is_killed(tmp_path: Path) -> None:
    outcome = await measure(tmp_path, sessions=30, rounds=4, together=30, kill=True, seed=3)
    assert outcome.parts == len(outcome.told) == 240
    assert outcome.retries, "the kill came while calls were under way"
    assert not outcome.lost
    assert not outcome.doubled
    assert not outcome.contradicted
    assert not outcome.disordered
