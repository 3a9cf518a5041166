"""A worker process: reads a job, prepares the picture or draws the document, writes the result; until the end of file.

    python -m kefu_preprocess.adapters.worker FD MEMORY_MB

It decodes what strangers send, so it holds nothing worth taking: no secrets, no files to write, its memory is limited,
and it ends itself when it is stuck, even inside a C library, and when its parent is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import resource
import signal
import socket
import sys
import traceback
from typing import Any

import cv2
from PIL import Image, ImageDraw, ImageFont

from kefu_common.errors import KefuError, Reason
from kefu_preprocess.adapters import frames
from kefu_preprocess.domain.pipeline import prepare
from kefu_preprocess.domain.render import render
from kefu_preprocess.domain.values import Job, Limits, RenderJob

# The pool ends a stuck worker at its limit; a worker whose pool was killed ends itself this much later.
_GRACE_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Serves the socket `arguments[0]` with at most `arguments[1]` MiB of further address space (0: no limit)."""
    connection = socket.socket(fileno=int(arguments[0]))
    _settle_in(int(arguments[1]))
    _warm_up()
    _send(connection, {"ready": True}, [])
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            reply, blobs = _answer(*_receive(connection))
            _send(connection, reply, blobs)
            del blobs


def _answer(head: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    job, limits, seconds = frames.read_job(head, data)
    del data
    # No handler: the kernel ends the process, whatever library it is stuck in.
    signal.setitimer(signal.ITIMER_REAL, seconds + _GRACE_SECONDS)
    try:
        if isinstance(job, RenderJob):
            rendered = render(job, limits)
            return frames.rendered_head(rendered), [page.data for page in rendered.pages]
        # Handed over, not lent: the pipeline frees the encoded bytes as soon as it has the pixels.
        handed = [job]
        del job
        prepared = prepare(handed.pop(), limits)
        return frames.prepared_head(prepared), [prepared.data, prepared.marked]
    except KefuError as error:
        return frames.error_head(error), []
    except MemoryError:
        too_much = KefuError(
            Reason.PICTURE_DAMAGED, "preparing this needs too much memory", field="data"
        )
        return frames.error_head(too_much), []
    except Exception as error:
        # For the pool's log: where it happened, never what a library said about the picture.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return {"failed": f"{type(error).__name__} at {frame.filename}:{frame.lineno}"}, []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _warm_up() -> None:
    """One small picture, so that the first customer does not wait for drawings and lookup tables to be made."""
    blank = Image.new("RGB", (400, 800), "white")
    ImageDraw.Draw(blank).text((20, 20), "12:34", "black", font=ImageFont.load_default(24))
    sink = io.BytesIO()
    blank.save(sink, "PNG")
    prepare(Job(data=sink.getvalue(), find_elements=True), Limits())


def _settle_in(memory_mb: int) -> None:
    # Processes are what uses the cores here; threads of OpenCV beside them only get in each other's way.
    cv2.setNumThreads(1)
    # The pool decides when to stop: a terminal's Ctrl-C goes to the whole group and must not end a worker in a drain.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Decoders print their own words about a picture: to nowhere.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    if memory_mb and sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        limit = now + memory_mb * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _receive(connection: socket.socket) -> tuple[dict[str, Any], bytes]:
    head_bytes, blob_bytes = frames.PREFIX.unpack(_exactly(connection, frames.PREFIX.size))
    head = json.loads(_exactly(connection, head_bytes))
    return head, bytes(_exactly(connection, blob_bytes))


def _exactly(connection: socket.socket, count: int) -> bytearray:
    buffer = bytearray(count)
    view = memoryview(buffer)
    while view:
        received = connection.recv_into(view)
        if received == 0:
            raise EOFError
        view = view[received:]
    return buffer


def _send(connection: socket.socket, head: dict[str, Any], blobs: list[bytes]) -> None:
    connection.sendall(frames.pack(head, sum(len(blob) for blob in blobs)))
    for blob in blobs:
        connection.sendall(blob)


if __name__ == "__main__":
    main(sys.argv[1:])
