"""The embedded store's thread and file: what its contract cannot see."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kefu_common.errors import KefuError, Reason
from kefu_gateway.adapters.stores.sqlite import SqliteSessions
from kefu_gateway.adapters.stores.sqlite_schema import VERSION, open_connection
from kefu_gateway.adapters.stores.sqlite_threads import SqliteThread
from kefu_gateway.domain.session import SessionKey
from tests.contract.stores.builders import Clock, entry, turn

KEY = SessionKey("acme", "s-1")


class Blocked:
    """A writer whose first job waits, so that the test decides what queues up behind it."""

    def __init__(self, path: Path) -> None:
        self.open = threading.Event()
        self.reached = threading.Event()
        self.statements: list[str] = []

        def connect() -> sqlite3.Connection:
            connection = open_connection(path)
            connection.execute("CREATE TABLE t (x INTEGER PRIMARY KEY)")
            connection.set_trace_callback(self.statements.append)
            return connection

        self.thread = SqliteThread("test", connect, writes=True)

    async def block(self) -> asyncio.Future[None]:
        """The writer is busy from here on, until `open` is set."""
        busy = asyncio.ensure_future(self.thread.call(self._wait))
        assert await asyncio.to_thread(self.reached.wait, 60)
        return busy

    def _wait(self, connection: sqlite3.Connection) -> None:
        self.reached.set()
        assert self.open.wait(60)


def insert(number: int) -> Callable[[sqlite3.Connection], sqlite3.Cursor]:
    return lambda db: db.execute("INSERT INTO t VALUES (?)", (number,))


async def rows(path: Path) -> list[int]:
    connection = sqlite3.connect(path)
    try:
        return [x for (x,) in connection.execute("SELECT x FROM t ORDER BY x")]
    finally:
        connection.close()


async def test_what_waits_is_written_in_one_transaction(tmp_path: Path) -> None:
    blocked = Blocked(tmp_path / "t.db")
    await blocked.thread.start()
    first = await blocked.block()
    rest = [asyncio.ensure_future(blocked.thread.call(insert(n), durable=n == 3)) for n in range(5)]
    await asyncio.sleep(0)
    blocked.open.set()
    await asyncio.gather(first, *rest)
    assert blocked.statements.count("COMMIT") == 2, "the one that waited, and all others together"
    assert blocked.statements.index("PRAGMA synchronous = FULL") > 0
    await blocked.thread.close()
    assert await rows(tmp_path / "t.db") == [0, 1, 2, 3, 4]


async def test_a_job_that_fails_leaves_the_others_of_its_transaction(tmp_path: Path) -> None:
    blocked = Blocked(tmp_path / "t.db")
    await blocked.thread.start()

    def half(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO t VALUES (100)")
        raise ValueError("no")

    first = await blocked.block()
    jobs: list[Callable[[sqlite3.Connection], object]] = [insert(1), half, insert(1), insert(2)]
    rest = [asyncio.ensure_future(blocked.thread.call(job)) for job in jobs]
    await asyncio.sleep(0)
    blocked.open.set()
    await first
    done = await asyncio.gather(*rest, return_exceptions=True)
    assert [type(result) for result in done] == [
        sqlite3.Cursor,
        ValueError,
        sqlite3.IntegrityError,
        sqlite3.Cursor,
    ]
    await blocked.thread.close()
    assert await rows(tmp_path / "t.db") == [1, 2]


async def test_a_caller_that_left_does_not_stop_the_writer(tmp_path: Path) -> None:
    blocked = Blocked(tmp_path / "t.db")
    await blocked.thread.start()
    first = await blocked.block()
    left = asyncio.ensure_future(blocked.thread.call(insert(1)))
    await asyncio.sleep(0)
    left.cancel()
    blocked.open.set()
    await first
    await blocked.thread.call(insert(2))
    await blocked.thread.close()
    assert await rows(tmp_path / "t.db") == [1, 2]


async def test_closing_finishes_what_was_given(tmp_path: Path) -> None:
    blocked = Blocked(tmp_path / "t.db")
    blocked.open.set()
    await blocked.thread.start()
    given = [asyncio.ensure_future(blocked.thread.call(insert(n))) for n in range(200)]
    await asyncio.sleep(0)
    await blocked.thread.close()
    await asyncio.gather(*given)
    with pytest.raises(sqlite3.ProgrammingError):
        await blocked.thread.call(insert(1000))


async def test_nobody_else_on_the_machine_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "sessions.db"
    async with SqliteSessions.open(path) as store:
        await store.restore(KEY, [turn()], seconds_to_live=100)
        for one in path.parent.iterdir():
            assert stat.S_IMODE(one.stat().st_mode) == 0o600, one.name
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_turn_is_flushed_and_a_request_alone_is_not(tmp_path: Path) -> None:
    # sqlite_schema.py says why. Asked of the connection itself: nothing outside can see a flush.
    async with SqliteSessions.open(tmp_path / "sessions.db") as store:
        levels = []

        async def level() -> int:
            def ask(db: sqlite3.Connection) -> int:
                return int(db.execute("PRAGMA synchronous").fetchone()[0])

            return await store._writer.call(ask, durable=bool(store._writer._durable))

        submission = await store.submit(KEY, entry(), holder="g", lease_seconds=10)
        levels.append(await level())
        assert submission.fence is not None
        await store.commit(KEY, submission.fence, turn(), seconds_to_live=100)
        levels.append(await level())
        assert levels == [1, 2]  # NORMAL, FULL


async def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    async with SqliteSessions.open(path):
        pass
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    with pytest.raises(RuntimeError, match="of version"):
        async with SqliteSessions.open(path):
            pass


async def test_a_file_that_is_none_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    path.write_bytes(b"this is no database, and long enough to be read as one" * 100)
    with pytest.raises(KefuError) as raised:
        async with SqliteSessions.open(path):
            pass
    assert raised.value.reason is Reason.STORE_UNAVAILABLE
    assert raised.value.message == "the store does not answer"


async def test_a_file_that_breaks_under_way_is_unavailable(tmp_path: Path) -> None:
    async with SqliteSessions.open(tmp_path / "sessions.db", clock=Clock()) as store:
        await store._write(lambda db: db.execute("DROP TABLE requests"))
        with pytest.raises(KefuError) as raised:
            await store.submit(KEY, entry(), holder="g", lease_seconds=10)
        assert raised.value.reason is Reason.STORE_UNAVAILABLE
        assert raised.value.metadata == {"dependency": "store"}
        assert "requests" not in raised.value.message
        # Nothing of it happened: not even the session's row is left.
        rows = await store._read(lambda db: db.execute("SELECT count(*) FROM sessions").fetchone())
        assert rows == (0,)
