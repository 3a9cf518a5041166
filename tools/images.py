"""`./dev images [NAME…]`: builds deploy/images with buildah, proves that they start and answer, prints their sizes.

Needs root and Debian's packages buildah and debootstrap. Where the registry of the base image cannot be reached, a base
made by debootstrap takes its place (--base local): the same distribution, not the same bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools.image_build import LOCAL_BASE, Builder, NotHere
from tools.image_checks import lint, problems_of, sizes
from tools.image_start import answer_from_images

ROOT = Path(__file__).resolve().parents[1]
# Built here. triton.Dockerfile needs NVIDIA's registry: it is linted, and built where that can be reached (--gpu).
IMAGES = ("gateway", "preprocess", "triton-cpu")
# Triton starts the processes of its Python backend through bash.
_NEEDED = {"triton-cpu": ("bash",)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev images", description=__doc__)
    parser.add_argument("name", nargs="*", default=IMAGES, help=f"of {', '.join(IMAGES)}, triton")
    parser.add_argument("--base", choices=("registry", "local"), help="default: what can be had")
    parser.add_argument("--tag", default="0.1.0")
    parser.add_argument("--no-start", action="store_true", help="build and check, start nothing")
    options = parser.parse_args()
    if os.geteuid() or not shutil.which("buildah"):
        print("images: be root and `apt-get install buildah debootstrap` first", file=sys.stderr)
        return 2
    problems = lint(ROOT / "deploy/images")
    builder = Builder(ROOT / ".kefu/images", tag=options.tag)
    try:
        base = builder.base(options.base)
        print("base:", "the one pinned in the Dockerfiles" if base is None else LOCAL_BASE)
        for name in options.name:
            builder.build(name, base)
            with builder.mounted(name) as root:
                problems += [
                    f"{name}: {problem}"
                    for problem in problems_of(root, needed=_NEEDED.get(name, ()))
                ]
                print(sizes(name, root, builder.packed(name)))
        if not options.no_start and set(IMAGES) <= set(options.name):
            answer = asyncio.run(answer_from_images(builder, ROOT / ".kefu/weights"))
            print(f"started from their roots, read-only, as user 10001; they answer: {answer}")
    except (NotHere, RuntimeError, subprocess.CalledProcessError) as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    finally:
        builder.close()
    for problem in problems:
        print("PROBLEM ", problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
