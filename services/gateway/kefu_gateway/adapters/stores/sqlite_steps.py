"""The session store's rules in SQL: each function is one step inside a transaction of the writer or the reader.

Times are seconds since the epoch; `now` is given, so that every step of a transaction sees the same time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from kefu_gateway.adapters.stores.rules import check_all, check_next, pictures_of
from kefu_gateway.adapters.stores.sqlite_rows import find, find_or_make, holds, take_lease
from kefu_gateway.domain.answer import Answer
from kefu_gateway.domain.session import (
    Entry,
    Failure,
    KeptTurn,
    LeaseLost,
    Session,
    SessionKey,
    Submission,
)
from kefu_gateway.wire.transcripts import outcome_from_json, turn_from_json, turn_to_json

# Sessions that one transaction sweeps away: callers wait for it.
SWEPT_AT_ONCE = 200
# Pages given back to the file system after each of those.
PAGES_AT_ONCE = 1000


def submit(
    connection: sqlite3.Connection,
    key: SessionKey,
    entry: Entry,
    *,
    holder: str,
    lease_seconds: float,
    now: float,
    unanswered: float,
) -> Submission:
    row = find(connection, key, now)
    known = (
        row
        and connection.execute(
            "SELECT fingerprint, state, turn, outcome FROM requests WHERE session = ? AND request_id = ?",
            (row.id, entry.request_id),
        ).fetchone()
    )
    fingerprint, state, turn, outcome = known or (None, None, None, None)
    if state in ("pending", "answered") and fingerprint not in (None, entry.fingerprint):
        return Submission(state="conflict")
    if row is not None and state == "answered":
        return Submission(state="done", outcome=_outcome(connection, row.id, turn, outcome))
    row = find_or_make(connection, key, now, now + unanswered)
    if state != "pending":
        connection.execute(
            "INSERT OR REPLACE INTO requests"
            " (session, request_id, fingerprint, state, arrival, arrived_at, gateway, payload)"
            " VALUES (?, ?, ?, 'pending', ?, ?, ?, ?)",
            (
                row.id,
                entry.request_id,
                entry.fingerprint,
                row.arrivals + 1,
                entry.arrived_at,
                entry.gateway,
                entry.payload,
            ),
        )
        connection.execute("UPDATE sessions SET arrivals = arrivals + 1 WHERE id = ?", (row.id,))
    fence = take_lease(connection, row, holder, lease_seconds, now) if lease_seconds > 0 else None
    return Submission(
        state="running" if state == "pending" else "new",
        fence=fence,
        holder=(row.holder or "") if fence is None else "",
    )


def renew(
    connection: sqlite3.Connection, key: SessionKey, fence: int, seconds: float, now: float
) -> bool:
    row = find(connection, key, now)
    if row is None or not holds(row, fence):
        return False
    connection.execute("UPDATE sessions SET lease_until = ? WHERE id = ?", (now + seconds, row.id))
    return True


def release(connection: sqlite3.Connection, key: SessionKey, fence: int, now: float) -> bool:
    row = find(connection, key, now)
    if row is None or not holds(row, fence) or _waiting(connection, row.id):
        return False
    connection.execute("UPDATE sessions SET holder = NULL WHERE id = ?", (row.id,))
    return True


def pending(connection: sqlite3.Connection, key: SessionKey, now: float) -> list[Entry]:
    row = find(connection, key, now)
    if row is None:
        return []
    found = connection.execute(
        "SELECT request_id, fingerprint, payload, arrived_at, gateway FROM requests"
        " WHERE session = ? AND state = 'pending' ORDER BY arrival",
        (row.id,),
    )
    return [
        Entry(
            request_id=request_id,
            fingerprint=fingerprint,
            payload=payload,
            arrived_at=arrived_at,
            gateway=gateway,
        )
        for request_id, fingerprint, payload, arrived_at, gateway in found
    ]


def use_pictures(
    connection: sqlite3.Connection,
    key: SessionKey,
    hashes: Iterable[str],
    now: float,
    unanswered: float,
) -> None:
    row = find_or_make(connection, key, now, now + unanswered)
    _note_pictures(connection, key.tenant, row.id, hashes)


def withdraw(connection: sqlite3.Connection, key: SessionKey, request_id: str, now: float) -> str:
    """The row stays: a turn that is already running may still answer the request, and then it must be known."""
    row = find(connection, key, now)
    if row is None:
        return ""
    changed = connection.execute(
        "UPDATE requests SET state = 'withdrawn', payload = NULL"
        " WHERE session = ? AND request_id = ? AND state = 'pending'",
        (row.id, request_id),
    )
    if changed.rowcount == 0:
        return ""
    _settle(connection, row.id, now)
    return row.holder or ""


def commit(
    connection: sqlite3.Connection,
    key: SessionKey,
    fence: int,
    turn: KeptTurn,
    *,
    kept: bytes | None,
    outcome: bytes | None,
    seconds_to_live: float,
    now: float,
    unanswered: float,
) -> None:
    """`kept`: the turn as it is written down. `outcome`: the answer, where the turn is not kept."""
    row = find(connection, key, now)
    if row is not None and _committed(connection, row.id, turn, kept, outcome):
        return
    if row is None or not holds(row, fence):
        raise LeaseLost
    if any(_state(connection, row.id, id)[0] == "answered" for id in turn.request_ids):
        raise ValueError("a request of this turn has its answer already")
    until = now + seconds_to_live
    if kept is not None:
        check_next(turn, row.turns, row.chain)
        connection.execute(
            "INSERT INTO turns VALUES (?, ?, ?, ?)", (row.id, turn.number, turn.chain, kept)
        )
        connection.execute(
            "UPDATE sessions SET created_at = coalesce(created_at, ?), updated_at = ?, expires_at = ?,"
            " turns = ?, chain = ? WHERE id = ?",
            (turn.created_at, turn.created_at, until, turn.number, turn.chain, row.id),
        )
        _note_pictures(connection, key.tenant, row.id, pictures_of([turn]))
    else:
        until = max(until, row.expires_at)
        connection.execute("UPDATE sessions SET expires_at = ? WHERE id = ?", (until, row.id))
    _answer(connection, row.id, turn, kept is not None, outcome)
    if _waiting(connection, row.id):
        until = max(until, now + unanswered)
    connection.execute("UPDATE sessions SET alive_until = ? WHERE id = ?", (until, row.id))


def fail(
    connection: sqlite3.Connection,
    key: SessionKey,
    fence: int,
    request_ids: Sequence[str],
    failure: bytes,
    now: float,
) -> None:
    row = find(connection, key, now)
    if row is None or not holds(row, fence):
        raise LeaseLost
    connection.executemany(
        "UPDATE requests SET state = 'failed', outcome = ?, payload = NULL"
        " WHERE session = ? AND request_id = ? AND state = 'pending'",
        [(failure, row.id, request_id) for request_id in request_ids],
    )
    _settle(connection, row.id, now)


def outcome(
    connection: sqlite3.Connection, key: SessionKey, request_id: str, now: float
) -> Answer | Failure | None:
    row = find(connection, key, now)
    if row is None:
        return None
    found = connection.execute(
        "SELECT turn, outcome FROM requests"
        " WHERE session = ? AND request_id = ? AND state IN ('answered', 'failed')",
        (row.id, request_id),
    ).fetchone()
    return _outcome(connection, row.id, *found) if found else None


def session(connection: sqlite3.Connection, key: SessionKey, now: float) -> Session | None:
    row = find(connection, key, now)
    if row is None or not row.turns:
        return None
    return Session(
        key=key,
        created_at=row.created_at,
        updated_at=row.updated_at,
        expires_at=row.alive_until,
        turns=row.turns,
        chain=row.chain,
    )


def turns(
    connection: sqlite3.Connection, key: SessionKey, after: int, limit: int, now: float
) -> list[KeptTurn]:
    row = find(connection, key, now)
    if row is None:
        return []
    found = connection.execute(
        "SELECT document FROM turns WHERE session = ? AND number > ? ORDER BY number LIMIT ?",
        (row.id, after, limit),
    )
    return [turn_from_json(document) for (document,) in found]


def recent(
    connection: sqlite3.Connection, key: SessionKey, chain: int, limit: int, now: float
) -> list[KeptTurn]:
    row = find(connection, key, now)
    if row is None:
        return []
    found = connection.execute(
        "SELECT document FROM turns WHERE session = ? AND chain = ? ORDER BY number DESC LIMIT ?",
        (row.id, chain, limit),
    ).fetchall()
    return [turn_from_json(document) for (document,) in reversed(found)]


def restore(
    connection: sqlite3.Connection,
    key: SessionKey,
    restored: Sequence[KeptTurn],
    seconds_to_live: float,
    now: float,
) -> None:
    check_all(restored)
    row = find_or_make(connection, key, now, now + seconds_to_live)
    if row.turns or _waiting(connection, row.id):
        raise ValueError("the session exists")
    connection.executemany(
        "INSERT INTO turns VALUES (?, ?, ?, ?)",
        [(row.id, turn.number, turn.chain, turn_to_json(turn)) for turn in restored],
    )
    for turn in restored:
        _answer(connection, row.id, turn, True, None)
    _note_pictures(connection, key.tenant, row.id, pictures_of(restored))
    first, last = restored[0], restored[-1]
    connection.execute(
        "UPDATE sessions SET created_at = ?, updated_at = ?, expires_at = ?, alive_until = ?,"
        " turns = ?, chain = ? WHERE id = ?",
        (
            first.created_at,
            last.created_at,
            now + seconds_to_live,
            now + seconds_to_live,
            last.number,
            last.chain,
            row.id,
        ),
    )


def delete(connection: sqlite3.Connection, key: SessionKey) -> list[str]:
    found = connection.execute(
        "SELECT id FROM sessions WHERE tenant = ? AND session_id = ?", (key.tenant, key.session_id)
    ).fetchone()
    return [] if found is None else _remove(connection, key.tenant, found[0])


def expire(connection: sqlite3.Connection, now: float) -> tuple[int, list[tuple[str, str]]]:
    """Removes some sessions that have outlived their time: how many, and (tenant, hash) of pictures now unused."""
    gone = connection.execute(
        "SELECT id, tenant FROM sessions WHERE alive_until <= ? ORDER BY alive_until LIMIT ?",
        (now, SWEPT_AT_ONCE),
    ).fetchall()
    unused = [(tenant, sha256) for id, tenant in gone for sha256 in _remove(connection, tenant, id)]
    connection.execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})").fetchall()
    return len(gone), unused


def _remove(connection: sqlite3.Connection, tenant: str, id: int) -> list[str]:
    connection.execute("DELETE FROM sessions WHERE id = ?", (id,))
    used = connection.execute(
        "DELETE FROM pictures WHERE session = ? RETURNING sha256", (id,)
    ).fetchall()
    return [
        sha256
        for (sha256,) in used
        if not connection.execute(
            "SELECT 1 FROM pictures WHERE tenant = ? AND sha256 = ? LIMIT 1", (tenant, sha256)
        ).fetchone()
    ]


def _waiting(connection: sqlite3.Connection, id: int) -> bool:
    found = connection.execute(
        "SELECT 1 FROM requests WHERE session = ? AND state = 'pending' LIMIT 1", (id,)
    ).fetchone()
    return found is not None


def _settle(connection: sqlite3.Connection, id: int, now: float) -> None:
    """Where nothing waits any more, the session lives as long as its last turn lets it."""
    if not _waiting(connection, id):
        connection.execute(
            "UPDATE sessions SET alive_until = expires_at WHERE id = ? AND expires_at > ?",
            (id, now),
        )


def _note_pictures(
    connection: sqlite3.Connection, tenant: str, id: int, hashes: Iterable[str]
) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO pictures VALUES (?, ?, ?)",
        [(tenant, sha256, id) for sha256 in hashes],
    )


def _answer(
    connection: sqlite3.Connection, id: int, turn: KeptTurn, kept: bool, outcome: bytes | None
) -> None:
    """The turn's requests leave the inbox with their outcome, those that were withdrawn meanwhile included."""
    connection.executemany(
        "INSERT INTO requests (session, request_id, state, turn, outcome)"
        " VALUES (?, ?, 'answered', ?, ?) ON CONFLICT (session, request_id) DO UPDATE"
        " SET state = 'answered', payload = NULL, turn = excluded.turn, outcome = excluded.outcome",
        [
            (id, request_id, turn.number if kept else None, outcome)
            for request_id in turn.request_ids
        ],
    )


def _committed(
    connection: sqlite3.Connection,
    id: int,
    turn: KeptTurn,
    kept: bytes | None,
    outcome: bytes | None,
) -> bool:
    """Whether this very turn is there: its writer did not hear that it succeeded, and tries again."""
    if kept is not None:
        found = connection.execute(
            "SELECT document FROM turns WHERE session = ? AND number = ?", (id, turn.number)
        ).fetchone()
        return bool(found == (kept,))
    # What only looks answered is not the same: another answer, or none at all.
    return all(
        _state(connection, id, request_id) == ("answered", outcome)
        for request_id in turn.request_ids
    )


def _state(connection: sqlite3.Connection, id: int, request_id: str) -> tuple[str, bytes | None]:
    found = connection.execute(
        "SELECT state, outcome FROM requests WHERE session = ? AND request_id = ?", (id, request_id)
    ).fetchone()
    return found or ("unknown", None)


def _outcome(
    connection: sqlite3.Connection, id: int, turn: int | None, document: bytes | None
) -> Answer | Failure:
    if turn is None:
        assert document is not None
        return outcome_from_json(document)
    (kept,) = connection.execute(
        "SELECT document FROM turns WHERE session = ? AND number = ?", (id, turn)
    ).fetchone()
    return turn_from_json(kept).answer
