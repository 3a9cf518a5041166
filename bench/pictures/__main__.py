"""Everything that is claimed of the picture pipeline, measured: `./dev bench pictures --data DIR`.

DIR holds screenshots/, receipts/ and pages/, or is the screenshots folder itself (then the other two are looked for
beside it). OCR needs an environment with rapidocr: --ocr-python, default .kefu/envs/triton/bin/python.

All of it takes about half an hour on two cores, much of it for OCR of the reader's card. `--what ocr` is the whole
ablation, every setting of every card: hours, so give it an --ocr-memory, with which it goes on where it was broken off.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2

# What is measured, and about how many minutes it takes on two cores.
WHAT = {"bars": 2, "speed": 1, "quality": 5, "elements": 2, "ocr": 13, "memory": 6, "fuzz": 2}
# Of the ablation, what `all` reads: the reader's card, before and after.
_OCR_MODELS = ("reader",)
_OCR_SETTINGS = ("nothing, WebP 85", "as the card says", "both (usual numbers)")


def main() -> int:
    """Exit code 0; figures go to standard output."""
    parser = argparse.ArgumentParser(
        prog="./dev bench pictures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with the pictures")
    parser.add_argument("--what", choices=(*WHAT, "all"), default="all")
    parser.add_argument(
        "--ocr-python", default=".kefu/envs/triton/bin/python", help="a Python that has rapidocr"
    )
    parser.add_argument("--receipts", type=int, default=19, help="receipts read by the OCR")
    parser.add_argument("--models", default="", help="cards for the OCR, comma-separated")
    parser.add_argument("--degraded", default="", help="degradations, separated by semicolons")
    parser.add_argument("--settings", default="", help="settings, separated by semicolons")
    parser.add_argument("--ocr-memory", type=Path, help="file of readings, kept between runs")
    parser.add_argument(
        "--drawn", type=int, default=600, help="drawn screens, and as many lookalikes"
    )
    parser.add_argument("--pictures", type=int, default=5000, help="pictures of the memory run")
    parser.add_argument("--files", type=int, default=20_000, help="mutated files of the fuzz run")
    chosen = parser.parse_args()
    root = chosen.data if (chosen.data / "screenshots").is_dir() else chosen.data.parent
    # One thread a process, as in the sidecar's workers.
    cv2.setNumThreads(1)
    for what in WHAT if chosen.what == "all" else (chosen.what,):
        hours = what == "ocr" and chosen.what == "ocr"
        takes = "hours for all cards and settings" if hours else f"about {WHAT[what]} min"
        print(f"\n== {what} ({takes})", flush=True)
        _run(what, root, chosen)
    return 0


def _run(what: str, root: Path, chosen: argparse.Namespace) -> None:
    # Imported where needed: the memory of one measurement must not be the other's.
    if what == "bars":
        from bench.pictures import bars

        bars.run(root / "screenshots", drawn=chosen.drawn)
    elif what == "speed":
        from bench.pictures import speed

        speed.run(root, chosen.ocr_python)
    elif what == "quality":
        from bench.pictures import quality

        quality.run(root)
    elif what == "elements":
        from bench.pictures import elements

        elements.run(root, chosen.drawn // 5)
    elif what == "ocr":
        from bench.pictures import ocr

        ocr.run(
            root,
            chosen.ocr_python,
            sample=chosen.receipts,
            models=_list(chosen.models, ",") or (_OCR_MODELS if chosen.what == "all" else ()),
            degraded=_list(chosen.degraded, ";"),
            settings=_list(chosen.settings, ";") or (_OCR_SETTINGS if chosen.what == "all" else ()),
            remembered=chosen.ocr_memory,
        )
    elif what == "memory":
        from bench.pictures import service

        service.run_memory(root, chosen.pictures)
    elif what == "fuzz":
        from bench.pictures import service

        service.run_fuzz(root, chosen.files)


def _list(words: str, separator: str) -> list[str]:
    return [each for each in words.split(separator) if each]


if __name__ == "__main__":
    sys.exit(main())
