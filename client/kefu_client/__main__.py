"""The `kefu` command."""

from __future__ import annotations

import sys

from kefu_client.cli.command import run


def main() -> int:
    """Runs the command line and gives its exit code."""
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
