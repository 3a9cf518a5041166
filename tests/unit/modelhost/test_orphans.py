"""Only what is ours is cleared away."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kefu_modelhost import layout, ports
from kefu_modelhost.errors import SetupError
from kefu_modelhost.orphans import RUN_VARIABLE, Run, clear, processes, record, recorded, regions


def sleeper(run: Run) -> subprocess.Popen[bytes]:
    """A process that carries the run's id and has begun to run."""
    process = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        env={**os.environ, RUN_VARIABLE: run.id},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_processes_and_regions_of_the_run_go_and_no_others() -> None:
    mine, other = Run(secrets.token_hex(6)), Run(secrets.token_hex(6))
    ours, theirs = sleeper(mine), sleeper(other)
    left = Path(f"/dev/shm/{mine.shm_prefix}region")
    kept = Path(f"/dev/shm/{other.shm_prefix}region")
    try:
        left.touch()
        kept.touch()
        assert list(processes(mine)) == [ours.pid]
        assert clear(mine) == (1, 1)
        assert ours.wait(5) == -9
        assert regions(mine) == []
        assert theirs.poll() is None
        assert kept.exists()
    finally:
        for process in (ours, theirs):
            process.kill()
            process.communicate()
        left.unlink(missing_ok=True)
        kept.unlink(missing_ok=True)


def test_a_record_survives_and_nonsense_is_none(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    assert recorded(path) is None
    run = Run(secrets.token_hex(6))
    record(run, path)
    assert recorded(path) == run
    # An empty id would match every process and every region.
    for nonsense in ("", "{}", '{"id": ""}', '{"id": 5}', "[]"):
        path.write_text(nonsense)
        assert recorded(path) is None


def test_a_taken_port_is_told_with_its_setting_and_its_holder() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(SetupError, match=rf"{port}.*process {os.getpid()}.*KEFU_X"):
            ports.require_free("127.0.0.1", {"KEFU_X": port})
    ports.require_free("127.0.0.1", {"KEFU_X": port})


def test_a_missing_environment_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"pip install -r requirements/triton\.txt"):
        layout.prepare(tmp_path / "none", tmp_path, tmp_path / "run")
