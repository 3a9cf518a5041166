"""Pictures to rows of text, each picture read once.

The OCR is RapidOCR (PP-OCRv6 weights in its wheel, Apache-2.0) on onnxruntime.  An instance keeps state between its
own steps, so one thread at a time uses it; pictures are known by their SHA-256, and a picture asked for by several
requests at once is read by one of them while the others wait.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.base import Meter
from engines.pictures import decode_picture
from engines.reader.rows import Row, Segment, build_rows


@dataclass(frozen=True, slots=True)
class Page:
    """What one picture says.  `seconds` is what reading it took; width and height in px."""

    rows: tuple[Row, ...]
    width: int
    height: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OcrSettings:
    """threads: of one reading; max_side: px, larger pictures are scaled down before the text is looked for;
    max_pixels: larger pictures are refused; cache_pages: rows of so many pictures are kept (about 10 KB each);
    min_score: pieces the recogniser trusts less are left out, 0-1."""

    threads: int
    max_side: int = 2000
    max_pixels: int = 16_000_000
    cache_pages: int = 256
    min_score: float = 0.5


class PageReader:
    """Reads pictures; safe to call from several threads."""

    def __init__(self, settings: OcrSettings, meter: Meter) -> None:
        self._settings = settings
        self._meter = meter
        self._engine: Any = None
        self._using = threading.Lock()
        self._known: OrderedDict[str, Future[Page]] = OrderedDict()
        self._knowing = threading.Lock()

    def start(self) -> None:
        """Loads the OCR's weights and runs them once (the first run is several times slower)."""
        from rapidocr import RapidOCR  # slow to import, and not needed by other engines

        self._engine = RapidOCR(
            params={
                "Global.log_level": "error",
                "Global.use_cls": False,
                "Global.text_score": self._settings.min_score,
                "Global.max_side_len": self._settings.max_side,
                "EngineConfig.onnxruntime.intra_op_num_threads": self._settings.threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )
        self._engine(np.full((320, 320, 3), 255, np.uint8))
        _give_back()

    def read(self, picture: bytes, scope: str = "") -> tuple[Page, bool]:
        """The page, and whether it was known already in this scope; ContractError(picture_undecodable)."""
        key = f"{hashlib.sha256(picture).hexdigest()} {scope}"
        with self._knowing:
            future = self._known.get(key)
            known = future is not None
            if future is None:
                future = self._known[key] = Future()
                while len(self._known) > self._settings.cache_pages:
                    self._known.popitem(last=False)
            else:
                self._known.move_to_end(key)
        if known:
            self._meter.add("kefu_reader_page_cache_hits_total")
            return future.result(), True
        try:
            page = self._read(picture)
        except BaseException as error:
            with self._knowing:
                self._known.pop(key, None)
            future.set_exception(error)
            raise
        future.set_result(page)
        return page, False

    def _read(self, picture: bytes) -> Page:
        array = decode(picture, self._settings.max_pixels)
        began = time.monotonic()
        with self._using:
            found = self._engine(array)
            _give_back()
        seconds = time.monotonic() - began
        segments = []
        if found.boxes is not None and found.txts is not None:
            segments = [
                Segment(text, float(score), tuple((float(x), float(y)) for x, y in box))  # type: ignore[arg-type]
                for box, text, score in zip(found.boxes, found.txts, found.scores, strict=True)
            ]
        self._meter.add("kefu_vlm_progress_total")
        self._meter.add("kefu_reader_pages_total")
        self._meter.add("kefu_reader_page_seconds_total", seconds)
        height, width = array.shape[:2]
        return Page(tuple(build_rows(segments)), width, height, seconds)


def _give_back() -> None:
    """Returns freed memory to the system: reading a page takes 200 MB for a moment, which glibc would keep."""
    with contextlib.suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def decode(picture: bytes, max_pixels: int) -> NDArray[np.uint8]:
    """Encoded picture to a BGR array [height, width, 3]; ContractError(picture_undecodable)."""
    rgb = np.asarray(decode_picture(picture, max_pixels))
    return np.ascontiguousarray(rgb[:, :, ::-1])
