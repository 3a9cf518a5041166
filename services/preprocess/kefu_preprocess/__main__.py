"""python -m kefu_preprocess: the picture sidecar on its unix socket."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from kefu_common.environment import SettingsError, describe, load
from kefu_common.logs import configure_logs
from kefu_preprocess.app import serve
from kefu_preprocess.config import PREFIX, Settings


def main() -> int:
    """Exit code 0 after a drain, 2 for wrong settings, 1 where it cannot listen."""
    parser = argparse.ArgumentParser(
        prog="python -m kefu_preprocess",
        description="Prepares pictures for a model: kefu.preprocess.v1 on a unix socket.",
        epilog="settings, from the environment:\n" + describe(Settings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    try:
        settings = load(Settings, os.environ, prefix=PREFIX)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    configure_logs("kefu-preprocess", settings.log_level, settings.log_form)
    try:
        asyncio.run(serve(settings))
    except OSError as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
