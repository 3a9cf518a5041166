"""What a crash leaves behind: finding it, and clearing it away, if and only if it is ours.

Each server that we start carries a random run id in its environment (which its stubs inherit) and as the prefix of its
shared-memory regions; both are written to `<run_dir>/run.json` before the start.  A process or region is ours when it
has a recorded id.  Names are never looked at: another Triton on this machine is none of our business.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

RUN_VARIABLE = "KEFU_TRITON_RUN"
_SHM = Path("/dev/shm")  # noqa: S108 (the server's regions are there, nowhere else)
_KILL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Run:
    """One start of the server."""

    id: str

    @property
    def shm_prefix(self) -> str:
        return f"kefu_{self.id}_"


def record(run: Run, path: Path) -> None:
    """Writes the run down, before anything of it exists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(asdict(run)))
    os.replace(partial, path)


def recorded(path: Path) -> Run | None:
    try:
        run_id = json.loads(path.read_text())["id"]
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError):
        return None
    # An empty or short id would match what is not ours.
    return Run(run_id) if isinstance(run_id, str) and len(run_id) >= 8 else None


def clear(run: Run) -> tuple[int, int]:
    """Kills the run's processes and removes its regions; how many of each."""
    killed = _kill(run)
    removed = 0
    for region in list(_SHM.glob(f"{run.shm_prefix}*")):
        with contextlib.suppress(FileNotFoundError):
            region.unlink()
            removed += 1
    return killed, removed


def processes(run: Run) -> Iterator[int]:
    """Ids of living processes that carry the run's id."""
    mark = f"{RUN_VARIABLE}={run.id}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                # A zombie's environment is empty: it is gone but for its parent's look.
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    yield int(entry.name)


def descendants(parents: list[int]) -> list[int]:
    """Processes that these started, and those that they did."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                # "pid (name) state ppid …", and the name may hold anything.
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    waiting = list(parents)
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def regions(run: Run) -> list[Path]:
    return sorted(_SHM.glob(f"{run.shm_prefix}*"))


def _kill(run: Run) -> int:
    killed: set[int] = set()
    end = time.monotonic() + _KILL_SECONDS
    while (alive := list(processes(run))) and time.monotonic() < end:
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        time.sleep(0.02)
    return len(killed)
