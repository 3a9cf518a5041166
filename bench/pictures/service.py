"""The real sidecar, as a process of its own, under many pictures and under broken ones: memory and fuzz."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from PIL import Image

from bench.pictures.screens import phone_screen
from kefu.preprocess.v1 import preprocess_service_pb2 as pb
from kefu.preprocess.v1 import preprocess_service_pb2_grpc as pb_grpc
from kefu_common.status import from_call_error

_MIB = 1024 * 1024
_CALLERS = 4


@dataclass(frozen=True, slots=True)
class Service:
    """A running sidecar."""

    stub: Any
    pid: int
    metrics_port: int

    def memory(self) -> tuple[float, float]:
        """(all of it, the largest process), MiB of resident memory; shared pages count once in the first."""
        pids = [self.pid, *_children(self.pid)]
        everything = sum(_field(pid, "smaps_rollup", "Pss") for pid in pids)
        return everything, max(_field(pid, "status", "VmRSS") for pid in pids)

    def metric(self, name: str) -> float:
        """The sum of a metric's samples."""
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5
        ) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(each) for each in text.split()]


def _field(pid: int, file: str, name: str) -> float:
    for line in Path(f"/proc/{pid}/{file}").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    return 0.0


@contextmanager
def service(**settings: str) -> Iterator[Service]:
    """Starts `python -m kefu_preprocess` and ends it."""
    with tempfile.TemporaryDirectory(prefix="kefu-") as folder:
        socket = f"{folder}/p.sock"
        environment = {
            **os.environ,
            "KEFU_PREPROCESS_SOCKET": socket,
            "KEFU_PREPROCESS_METRICS": "127.0.0.1:0",
            "KEFU_PREPROCESS_LOG_LEVEL": "info",
            **{f"KEFU_PREPROCESS_{name.upper()}": value for name, value in settings.items()},
        }
        log = Path(folder) / "log"
        with log.open("w") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "kefu_preprocess"], env=environment, stderr=sink
            )
        try:
            port = _port(log, process)
            options = [
                ("grpc.max_send_message_length", 32 * _MIB),
                ("grpc.max_receive_message_length", 32 * _MIB),
            ]
            with grpc.insecure_channel(f"unix:{socket}", options=options) as channel:
                yield Service(pb_grpc.PreprocessServiceStub(channel), process.pid, port)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _port(log: Path, process: subprocess.Popen[bytes]) -> int:
    for _ in range(600):
        text = log.read_text(encoding="utf-8")
        if '"metrics_port": ' in text:
            return int(text.split('"metrics_port": ')[1].split(",")[0].split("}")[0])
        if process.poll() is not None:
            raise RuntimeError(text)
        time.sleep(0.05)
    raise RuntimeError("the sidecar did not start")


def run_memory(root: Path, count: int) -> None:
    """Memory over `count` mixed pictures, then at the largest ones that are allowed."""
    folder = root / "screenshots" / "images"
    files = [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []
    files += [_file(phone_screen(random.Random(seed)).pixels, "JPEG") for seed in range(20)]
    # The time limit is not measured here: on a busy machine a picture takes long.
    unhurried = {"cache_mb": "0", "time_limit_ms": "120000"}
    with service(workers="2", **unhurried) as running, ThreadPoolExecutor(_CALLERS) as callers:
        rng = random.Random(3)

        def one(number: int) -> None:
            size = rng.choice((300_000, 800_000, 1_500_000))
            request = pb.PrepareRequest(
                data=files[number % len(files)], profile=pb.Profile(max_pixels=size)
            )
            running.stub.Prepare(request, timeout=150)

        start = time.perf_counter()
        step = max(1, count // 10)
        for first in range(0, count, step):
            list(callers.map(one, range(first, min(count, first + step))))
            everything, largest = running.memory()
            done = min(count, first + step)
            print(
                f"  after {done:5d} pictures: {everything:.0f} MiB in all, largest process {largest:.0f}",
                flush=True,
            )
        print(f"  {count / (time.perf_counter() - start):.0f} pictures/s")
    for name, data, scale_down in _largest():
        with service(workers="1", **unhurried) as running:
            request = pb.PrepareRequest(data=data, scale_down_oversized=scale_down)
            pids = [running.pid, *_children(running.pid)]
            # What both processes share (libraries, mostly) is in each one's peak, and is there once.
            twice = sum(
                _field(pid, "status", "VmRSS") - _field(pid, "smaps_rollup", "Pss") for pid in pids
            )
            start = time.perf_counter()
            running.stub.Prepare(request, timeout=150)
            took = time.perf_counter() - start
            peaks = sum(_field(pid, "status", "VmHWM") for pid in pids)
            print(
                f"  {name} ({len(data) / 1e6:.1f} MB): peak of both {peaks - twice:.0f} MiB"
                f" ({peaks:.0f} with shared pages twice), {took:.2f} s",
                flush=True,
            )


def _largest() -> Iterator[tuple[str, bytes, bool]]:
    rng = np.random.default_rng(1)
    soft = np.kron(rng.integers(0, 255, (300, 400, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    soft[::3, ::3] ^= 9
    yield "12 MP PNG", _file(soft, "PNG", compress_level=1), False
    rgba = np.dstack([soft, np.full(soft.shape[:2], 200, np.uint8)])
    yield "12 MP PNG with transparency", _file(rgba, "PNG", compress_level=1), False
    yield "12 MP WebP", _file(soft, "WEBP", quality=80, method=0), False
    yield "12 MP JPEG", _file(soft, "JPEG", quality=95), False
    wide = np.kron(rng.integers(0, 255, (600, 800, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    yield (
        "48 MP progressive JPEG, scaled down",
        _file(wide, "JPEG", quality=85, progressive=True),
        True,
    )


def _file(pixels: np.ndarray[Any, Any], kind: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, kind, **options)
    return sink.getvalue()


def run_fuzz(root: Path, count: int, seed: int = 11) -> Counter[str]:
    """Sends `count` mutated files; prints and gives what became of them. Anything but an answer or a reason of the
    caller's is listed under its status."""
    seeds = list(seed_files())
    outcomes: Counter[str] = Counter()
    with service(workers="2") as running, ThreadPoolExecutor(_CALLERS) as callers:

        def one(number: int) -> tuple[str, float]:
            rng = random.Random(seed * 1_000_003 + number)
            data = mutated(rng, seeds)
            request = pb.PrepareRequest(
                data=data, find_elements=rng.random() < 0.2, draw_elements=True
            )
            start = time.perf_counter()
            try:
                running.stub.Prepare(request, timeout=20)
                outcome = "prepared"
            except grpc.RpcError as error:
                known = from_call_error(error)
                outcome = error.code().name if known is None else known.reason.value
            return outcome, time.perf_counter() - start

        slowest = 0.0
        for outcome, seconds in callers.map(one, range(count)):
            outcomes[outcome] += 1
            slowest = max(slowest, seconds)
        ended = running.metric("kefu_preprocess_workers_ended_total")
        alive = running.stub.Prepare(
            pb.PrepareRequest(data=seeds[0]), timeout=10
        ).report.prepared.width
    print(f"  {count} files: {dict(outcomes)}")
    print(
        f"  slowest {slowest:.2f} s; workers replaced {ended:.0f}; still preparing afterwards: {bool(alive)}"
    )
    return outcomes


def seed_files() -> Iterator[bytes]:
    """Small good files of every kind that is let in."""
    rng = np.random.default_rng(2)
    colour = np.kron(rng.integers(0, 255, (12, 16, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    grey = colour[:, :, 0]
    exif = Image.Exif()
    exif[0x0112] = 6
    yield _file(colour, "JPEG", quality=80, exif=exif, comment=b"words")
    yield _file(colour, "JPEG", quality=80, progressive=True, subsampling=0)
    yield _file(grey, "JPEG")
    # Plain RGB and opaque RGBA are decoded by libpng, everything else by Pillow.
    yield _file(colour, "PNG")
    yield _file(np.dstack([colour, np.full_like(grey, 255)]), "PNG")
    yield _file(np.dstack([colour, grey]), "PNG")
    yield _file(grey.astype(np.uint16) * 257, "PNG")
    for kind, mode in (
        ("PNG", "P"),
        ("PNG", "1"),
        ("PNG", "LA"),
        ("BMP", "RGB"),
        ("BMP", "P"),
        ("JPEG", "CMYK"),
    ):
        sink = io.BytesIO()
        Image.fromarray(colour).convert(mode).save(sink, kind)
        yield sink.getvalue()
    yield _file(colour, "WEBP", quality=70)
    yield _file(np.dstack([colour, grey]), "WEBP", lossless=True)
    sink = io.BytesIO()
    Image.fromarray(colour).save(
        sink, "WEBP", save_all=True, append_images=[Image.fromarray(colour[::-1])]
    )
    yield sink.getvalue()


def mutated(rng: random.Random, seeds: list[bytes]) -> bytes:
    """One seed with one to four accidents."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, 4)):
        rng.choice(_ACCIDENTS)(rng, data, seeds)
    return bytes(data)


def _flip(rng: random.Random, data: bytearray, seeds: list[bytes]) -> None:
    for _ in range(rng.randint(1, 8)):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _cut(rng: random.Random, data: bytearray, seeds: list[bytes]) -> None:
    del data[rng.randint(0, len(data)) :]


def _remove(rng: random.Random, data: bytearray, seeds: list[bytes]) -> None:
    start = rng.randint(0, len(data))
    del data[start : start + rng.randint(1, 64)]


def _repeat(rng: random.Random, data: bytearray, seeds: list[bytes]) -> None:
    start = rng.randint(0, len(data))
    data[start:start] = data[start : start + rng.randint(1, 256)]


def _splice(rng: random.Random, data: bytearray, seeds: list[bytes]) -> None:
    other = rng.choice(seeds)
    start = rng.randint(0, len(data))
    data[start:] = other[rng.randint(0, len(other)) :]


_NUMBERS = (b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff", b"\x00\x00\x40\x00")


def _extreme(rng: random.Random, data: bytearray, seeds: list[bytes]) -> None:
    """Numbers that overflow, in the header where sizes are."""
    if len(data) > 40:
        start = rng.randrange(2, 40)
        data[start : start + 4] = rng.choice(_NUMBERS)


_ACCIDENTS: tuple[Callable[[random.Random, bytearray, list[bytes]], None], ...] = (
    _flip, _flip, _flip, _cut, _remove, _repeat, _splice, _extreme,
)  # fmt: skip
