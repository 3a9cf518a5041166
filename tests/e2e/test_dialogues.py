"""The gateway's memory, with the real reader: the bench's own check on two of its dialogues."""

from __future__ import annotations

import pytest

from bench.dialogues import DIALOGUES, hold
from tests.e2e.road import Road

pytestmark = [
    pytest.mark.triton,
    pytest.mark.weights,
    pytest.mark.asyncio(loop_scope="session"),
]


async def test_prompts_hold_the_right_rows_of_the_right_pictures(reader_road: Road) -> None:
    wrong, turns = await hold(reader_road.house.gateway, (DIALOGUES[0], DIALOGUES[2]), "reader")
    assert (wrong, turns) == (0, 10)
