"""Ports that are taken, told before the server stumbles over them."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from kefu_modelhost.errors import SetupError


def require_free(host: str, ports: dict[str, int]) -> None:
    """SetupError naming the setting of a port that something else listens on, and who, if that can be told."""
    for variable, port in ports.items():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As the server does it: a port in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                who = _listener(port)
                by = f" by {who}" if who else ""
                raise SetupError(
                    f"{host}:{port} cannot be used ({os.strerror(error.errno or 0)}{by}): stop what listens there,"
                    f" or set {variable} to another port"
                ) from error


def _listener(port: int) -> str:
    """`process 123 (name)` of who listens on a TCP port of this machine; empty when it cannot be told."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                parts = line.split()
                if parts[3] == "0A" and int(parts[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{parts[9]}]")
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                for handle in (process / "fd").iterdir():
                    if os.readlink(handle) in inodes:
                        return f"process {process.name} ({(process / 'comm').read_text().strip()})"
    return ""
