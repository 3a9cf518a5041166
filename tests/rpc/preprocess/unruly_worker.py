"""A worker for tests that speaks the frames and misbehaves as the declared media type tells it to.

HANG: never answers. CRASH: ends. CRASH-ONCE <path>: ends the first time. FAIL: has a bug. Anything else is prepared
for real.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from kefu_preprocess.adapters import worker
from kefu_preprocess.domain.pipeline import prepare
from kefu_preprocess.domain.render import render
from kefu_preprocess.domain.values import Job, Limits, Prepared, Rendered, RenderJob


def unruly(job: Job, limits: Limits) -> Prepared:
    obey(job.media_type)
    return prepare(Job(data=job.data), limits)


def unruly_document(job: RenderJob, limits: Limits) -> Rendered:
    obey(job.media_type)
    return render(RenderJob(data=job.data), limits)


def obey(order: str) -> None:
    words = order.split()
    if words[:1] == ["HANG"]:
        signal.sigwait([signal.SIGUSR1])
    if words[:1] == ["CRASH"]:
        os.kill(os.getpid(), signal.SIGSEGV)
    if words[:1] == ["CRASH-ONCE"]:
        try:
            descriptor = os.open(Path(words[1]), os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            pass
        else:
            os.close(descriptor)
            os.kill(os.getpid(), signal.SIGKILL)
    if words[:1] == ["FAIL"]:
        raise ZeroDivisionError("words of a library")


def main() -> None:
    module: Any = worker
    module.prepare = unruly
    module.render = unruly_document
    worker.main(sys.argv[1:])


if __name__ == "__main__":
    main()
