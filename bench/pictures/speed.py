"""Speed against the usual script and against the floor, and what a second core brings."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from bench.pictures.ocr import Reader, card_profile, png
from bench.pictures.truth import Written, lines_read, pages, receipts
from kefu_preprocess.adapters.pool import WorkerPool
from kefu_preprocess.domain.decode import decode
from kefu_preprocess.domain.encode import encode_webp
from kefu_preprocess.domain.formats import Format
from kefu_preprocess.domain.pipeline import prepare
from kefu_preprocess.domain.values import Job, Limits, Profile

_ROUNDS = 7


READER = card_profile("reader")


def usual_script(data: bytes) -> bytes:
    """What everyone copies: the top 7 % off, Pillow's contrast 1.3 and unsharp mask, WebP 95."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    picture = picture.crop((0, round(picture.height * 0.07), picture.width, picture.height))
    picture = ImageEnhance.Contrast(picture).enhance(1.3)
    picture = picture.filter(ImageFilter.UnsharpMask(radius=1, percent=150))
    sink = io.BytesIO()
    picture.save(sink, "WEBP", quality=95)
    return sink.getvalue()


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    data: bytes
    lines: tuple[str, ...]


def run(root: Path, python: str) -> None:
    """Prints every ratio; `python` has rapidocr (skipped where there is none)."""
    cases = _cases(root)
    for case in cases:
        _one_core(case)
    _ocr(cases, root, python)
    _two_cores(cases)


def _cases(root: Path) -> list[_Case]:
    page = next(iter(pages(root / "pages")))
    receipt = next(each for each in receipts(root / "receipts") if "wildreceipt" in each.name)
    return [
        _Case("1080x2400 PNG screenshot", page.path.read_bytes(), page.lines),
        _Case("12 MP JPEG photo", twelve_megapixels(receipt), receipt.lines),
    ]


def twelve_megapixels(written: Written) -> bytes:
    """A photo as a phone makes it: 4000×3000, a little grain, JPEG 90."""
    pixels = written.pixels()
    if pixels.shape[0] > pixels.shape[1]:
        pixels = np.ascontiguousarray(np.rot90(pixels))
    large = cv2.resize(pixels, (4000, 3000), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    large += np.random.default_rng(5).normal(0, 3, large.shape)
    sink = io.BytesIO()
    Image.fromarray(np.clip(large, 0, 255).astype(np.uint8)).save(sink, "JPEG", quality=90)
    return sink.getvalue()


def fastest(work: Callable[[], object], rounds: int = _ROUNDS) -> float:
    """Milliseconds of this process on a CPU: others on the machine do not count. The fastest round, after a warm-up."""
    work()
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best * 1000


def _one_core(case: _Case) -> None:
    limits = Limits()
    job = Job(data=case.data, profile=READER)
    full = Job(data=case.data, profile=replace(Profile(), name="full size"))
    usual = fastest(lambda: usual_script(case.data), 3)
    ours = fastest(lambda: prepare(job, limits))
    everything = fastest(lambda: prepare(full, limits), 3)
    prepared = prepare(job, limits)
    pixels = np.asarray(Image.open(io.BytesIO(prepared.data)).convert("RGB"))
    floor = fastest(
        lambda: (
            _decode_alone(case.data),
            encode_webp(Image.fromarray(pixels), READER.webp_quality),
        )
    )
    out, usual_out = len(prepared.data), len(usual_script(case.data))
    print(f"{case.name} ({len(case.data) / 1000:.0f} kB), CPU milliseconds on one core")
    print(f"  usual script        {usual:7.0f}   {usual_out / 1000:.0f} kB")
    print(f"  ours, reader        {ours:7.0f}   {out / 1000:.0f} kB   {usual / ours:.1f}x faster")
    print(f"  ours, default at full size {everything:.0f}   {usual / everything:.1f}x faster")
    print(
        f"  floor               {floor:7.0f}   decode and encode alone; ours is {ours / floor:.2f}x that"
    )
    steps = ", ".join(
        f"{name} {seconds * 1000:.1f}"
        for name, seconds in prepared.report.seconds
        if seconds > 1e-4
    )
    print(f"  steps: {steps}; {', '.join(prepared.report.steps)}")


def _decode_alone(data: bytes) -> object:
    """By the quickest way that is known here, which is our own."""
    found = Format.JPEG if data.startswith(b"\xff\xd8") else Format.PNG
    return decode(data, found, Limits(), budget=READER.max_pixels, scale_down=False)


def _ocr(cases: list[_Case], root: Path, python: str) -> None:
    if not Path(python).exists():
        print(f"no OCR: {python} is not there (--ocr-python)")
        return
    more = [_Case(each.name, each.path.read_bytes(), each.lines) for each in pages(root / "pages")]
    more += [
        _Case(each.name, png(each.pixels()), each.lines)
        for each in list(receipts(root / "receipts"))[:6]
    ]
    totals = {"usual script": 0, "ours, reader": 0}
    sent = dict.fromkeys(totals, 0)
    lines = 0
    with Reader(python) as reader:
        for case in [*cases[1:], *more]:
            usual, ours = (
                usual_script(case.data),
                prepare(Job(data=case.data, profile=READER), Limits()).data,
            )
            for name, data in (("usual script", usual), ("ours, reader", ours)):
                read = lines_read(case.lines, reader.read_bytes(data, ".webp"))
                totals[name] += sum(read)
                sent[name] += len(data)
            lines += len(read)
    print(
        f"OCR recall on {len(more) + 1} pictures, {lines} lines (a clock that is cut off counts as lost for both)"
    )
    for name, count in totals.items():
        print(f"  {name:14s} {count}/{lines} = {count / lines:.3f}   {sent[name] / 1000:.0f} kB")


def _two_cores(cases: list[_Case]) -> None:
    jobs = [Job(data=case.data, profile=READER) for case in cases for _ in range(16)]
    limits = Limits()
    print(f"throughput, {len(jobs)} pictures, wall seconds")
    for count in (1, 2):
        start = time.perf_counter()
        with ThreadPoolExecutor(count) as threads:
            list(threads.map(lambda job: prepare(job, limits), jobs))
        print(f"  {count} thread(s)   {time.perf_counter() - start:.2f}")
    seconds = {count: asyncio.run(_pooled(jobs, count)) for count in (1, 2)}
    for count, wall in seconds.items():
        print(f"  {count} process(es) {wall:.2f}")
    print(f"  two processes over one: {seconds[1] / seconds[2]:.2f}x")


async def _pooled(jobs: list[Job], workers: int) -> float:
    pool = WorkerPool(workers=workers, queue=len(jobs), limits=Limits(), seconds=60, memory_mb=1024)
    await pool.start()
    try:
        start = time.perf_counter()
        await asyncio.gather(*(pool.run(job) for job in jobs))
        return time.perf_counter() - start
    finally:
        await pool.stop()
