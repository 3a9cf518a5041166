"""The tables of the embedded store, and how a connection to them is opened.

What is safe when. WAL survives the death of the process at any moment, with any setting: what was written is in the
kernel's hands. `synchronous` decides about the death of the machine. A committed turn is FULL: the log is flushed to
the disk before the caller is told. A request that has only arrived is NORMAL: if the power fails then, its caller is
disconnected as well and asks again with the same `request_id`. The writer switches between the two, batch by batch.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

VERSION = 1

# AUTOINCREMENT: a deleted session's id is never given to another, so nothing old can ever belong to a new one.
# `alive_until` is when a session may be swept away: `expires_at`, or later while something waits in its inbox.
TABLES = """
CREATE TABLE sessions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant TEXT NOT NULL,
  session_id TEXT NOT NULL,
  created_at REAL,
  updated_at REAL,
  expires_at REAL NOT NULL DEFAULT 0,
  alive_until REAL NOT NULL,
  turns INTEGER NOT NULL DEFAULT 0,
  chain INTEGER NOT NULL DEFAULT 0,
  arrivals INTEGER NOT NULL DEFAULT 0,
  holder TEXT,
  fence INTEGER,
  lease_until REAL,
  UNIQUE (tenant, session_id)
);
CREATE INDEX sessions_alive ON sessions (alive_until);

-- state: pending, answered, failed, withdrawn. An answer is in the turn named, or in `outcome` where no turn was kept.
CREATE TABLE requests (
  session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
  request_id TEXT NOT NULL,
  fingerprint TEXT,
  state TEXT NOT NULL,
  arrival INTEGER NOT NULL DEFAULT 0,
  arrived_at REAL,
  gateway TEXT,
  payload BLOB,
  turn INTEGER,
  outcome BLOB,
  PRIMARY KEY (session, request_id)
);
CREATE INDEX requests_inbox ON requests (session, arrival) WHERE state = 'pending';

CREATE TABLE turns (
  session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
  number INTEGER NOT NULL,
  chain INTEGER NOT NULL,
  document BLOB NOT NULL,
  PRIMARY KEY (session, number)
);
CREATE INDEX turns_chain ON turns (session, chain, number);

-- Which session uses which picture. No cascade: the end of a session has to look at each.
CREATE TABLE pictures (
  tenant TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  session INTEGER NOT NULL,
  PRIMARY KEY (tenant, sha256, session)
) WITHOUT ROWID;
CREATE INDEX pictures_session ON pictures (session);

-- One row: the last fence given to anyone. It outlives the sessions, so that a fence is never given twice.
CREATE TABLE fences (last INTEGER NOT NULL);
INSERT INTO fences VALUES (0);
"""


def open_connection(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection with our settings; to be used by the thread that opens it. Raises sqlite3.Error, OSError."""
    if not read_only:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Customers' conversations: nobody else on the machine reads them. SQLite gives its -wal the same mode.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, timeout=5.0, cached_statements=256)
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")
    # Deleted conversations are overwritten where that costs no further writes.
    connection.execute("PRAGMA secure_delete = FAST")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def create_tables(connection: sqlite3.Connection) -> None:
    """Makes the tables in an empty file. Raises RuntimeError for a file that a newer version wrote."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise RuntimeError(
                f"the session file is of version {version}; this Kefu reads up to {VERSION}"
            )
        if version == 0:
            for statement in TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
