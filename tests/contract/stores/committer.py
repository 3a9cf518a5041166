"""A process that commits turns until it is killed: `python -m tests.contract.stores.committer sqlite PATH`.

It prints `turn` and the number when, and only when, the commit has returned. What it printed must be there afterwards.
"""

from __future__ import annotations

import asyncio
import sys

from kefu_gateway.domain.session import SessionKey
from tests.contract.stores.builders import Clock, entry, turn
from tests.contract.stores.conftest import Place

KEY = SessionKey("acme", "s-1")


async def commit_forever(place: Place) -> None:
    async with place.open() as store:
        for number in range(1, 1_000_000):
            sent = entry(f"r-{number}")
            submission = await store.submit(KEY, sent, holder="g-1", lease_seconds=60)
            assert submission.fence is not None
            made = turn(number, request_ids=(f"r-{number}",))
            await store.commit(KEY, submission.fence, made, seconds_to_live=1e6)
            print("turn", number, flush=True)


if __name__ == "__main__":
    kind, where = sys.argv[1:]
    asyncio.run(commit_forever(Place(kind, where, Clock())))
