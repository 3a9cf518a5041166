"""A session's row: finding it, making it, and who holds its lease. Steps inside a transaction, as `sqlite_steps.py`."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from kefu_gateway.domain.session import SessionKey


@dataclass(frozen=True, slots=True)
class Row:
    """A session's row, its columns in this order."""

    id: int
    created_at: float
    updated_at: float
    expires_at: float
    alive_until: float
    turns: int
    chain: int
    arrivals: int
    holder: str | None
    fence: int
    lease_until: float


_COLUMNS = "id, created_at, updated_at, expires_at, alive_until, turns, chain, arrivals, holder, fence, lease_until"


def find(connection: sqlite3.Connection, key: SessionKey, now: float) -> Row | None:
    """The session, unless it has outlived its time (swept away or not)."""
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM sessions WHERE tenant = ? AND session_id = ? AND alive_until > ?",  # noqa: S608
        (key.tenant, key.session_id, now),
    ).fetchone()
    return Row(*found) if found else None


def find_or_make(
    connection: sqlite3.Connection, key: SessionKey, now: float, alive_until: float
) -> Row:
    """The session, alive until then at least."""
    row = find(connection, key, now)
    if row is None:
        # One that has outlived its time but was not swept away gives way. What it noted of pictures passes on: whoever
        # asks for a sweep is told of them later, and until then they are only kept for longer.
        old = connection.execute(
            "DELETE FROM sessions WHERE tenant = ? AND session_id = ? RETURNING id",
            (key.tenant, key.session_id),
        ).fetchall()
        new = connection.execute(
            "INSERT INTO sessions (tenant, session_id, alive_until) VALUES (?, ?, ?)",
            (key.tenant, key.session_id, alive_until),
        ).lastrowid
        for (gone,) in old:
            connection.execute("UPDATE pictures SET session = ? WHERE session = ?", (new, gone))
    elif row.alive_until < alive_until:
        connection.execute(
            "UPDATE sessions SET alive_until = ? WHERE id = ?", (alive_until, row.id)
        )
    made = find(connection, key, now)
    if made is None:
        raise ValueError("a session must live for some time")
    return made


def take_lease(
    connection: sqlite3.Connection, row: Row, holder: str, seconds: float, now: float
) -> int | None:
    until = now + seconds
    if row.holder == holder:
        connection.execute(
            "UPDATE sessions SET lease_until = max(lease_until, ?) WHERE id = ?", (until, row.id)
        )
        return row.fence
    if row.holder is not None and row.lease_until > now:
        return None
    ((fence,),) = connection.execute("UPDATE fences SET last = last + 1 RETURNING last").fetchall()
    connection.execute(
        "UPDATE sessions SET holder = ?, fence = ?, lease_until = ? WHERE id = ?",
        (holder, fence, until, row.id),
    )
    return int(fence)


def holds(row: Row | None, fence: int) -> bool:
    """Whether this fence is the session's last and was not given back. A lease that has run out but that nobody else
    took still counts: nothing can have happened in between."""
    return row is not None and row.holder is not None and row.fence == fence
