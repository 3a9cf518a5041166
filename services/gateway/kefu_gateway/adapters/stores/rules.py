"""Rules that every session store keeps, where they need no store to be checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kefu_gateway.domain.session import KeptTurn

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """Seconds. `unanswered`: how long an inbox, a failure or a noted picture lives in a session without a turn. No
    request that waits is lost unless every gateway is down for longer."""

    unanswered: float = DAY_SECONDS


def check_next(turn: KeptTurn, turns: int, chain: int) -> None:
    """Raises ValueError unless `turn` follows a session of `turns` turns whose last one is of `chain`."""
    if turn.number != turns + 1:
        raise ValueError(f"the next turn is {turns + 1}, not {turn.number}")
    if turn.chain < max(chain, 1):
        raise ValueError(f"the session is at chain {chain}; a turn of chain {turn.chain} is late")


def check_all(turns: Sequence[KeptTurn]) -> None:
    """Raises ValueError unless these are all turns of a session, from the first on."""
    if not turns:
        raise ValueError("a session has at least one turn")
    chain = 0
    for count, turn in enumerate(turns):
        check_next(turn, count, chain)
        chain = turn.chain


def pictures_of(turns: Sequence[KeptTurn]) -> list[str]:
    """The hashes of the pictures, each once, in order."""
    return list(
        dict.fromkeys(
            part.picture_sha256 for turn in turns for part in turn.parts if part.picture_sha256
        )
    )
