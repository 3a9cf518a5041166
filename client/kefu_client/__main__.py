"""The `kefu` command."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Runs the command line and gives its exit code."""
    # gRPC's own log lines on stderr (a refused connection, a failed handshake) would say in other words, and in the
    # middle of ours, what we say. It reads this variable once, when it is imported: so before anything else.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from kefu_client.cli.command import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
