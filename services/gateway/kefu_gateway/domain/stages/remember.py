"""remember: the turn is written down before the caller is told that it is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from kefu_gateway.domain.session import KeptTurn, SessionStore
from kefu_gateway.domain.stages.base import Quiet
from kefu_gateway.domain.turn import Turn


class Remember(Quiet):
    name = "remember"

    def __init__(
        self,
        store: SessionStore,
        *,
        session_seconds: float,
        outcome_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """How long a session lives after its last turn, and the outcome of a one-off, in seconds."""
        self._store = store
        self._session_seconds = session_seconds
        self._outcome_seconds = outcome_seconds
        self._clock = clock

    async def do(self, turn: Turn) -> None:
        claim = turn.claim
        if claim is None:
            return
        assert turn.answer is not None
        kept = KeptTurn(
            number=turn.number,
            chain=turn.chain,
            request_ids=claim.request_ids,
            parts=claim.parts,
            # Timings of stages that are still to come cannot be in it; those that were are.
            answer=replace(turn.answer, timings=dict(turn.timings)),
            created_at=self._clock(),
        )
        await self._store.commit(
            claim.key,
            claim.fence,
            kept,
            seconds_to_live=self._session_seconds if claim.keep_turn else self._outcome_seconds,
            keep_turn=claim.keep_turn,
        )
