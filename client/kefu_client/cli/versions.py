"""`kefu version`: what is installed."""

from __future__ import annotations

import argparse
import platform
from typing import Any

import google.protobuf
import grpc

from kefu_client._version import version
from kefu_client.cli import exits
from kefu_client.cli.console import Console


def add_to(commands: Any) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("version", help="say which version this is")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, console: Console) -> int:
    """Prints one line; its second word is the version."""
    console.line(
        f"kefu {version()} (Python {platform.python_version()}, grpcio {grpc.__version__}, "
        f"protobuf {google.protobuf.__version__})"
    )
    return exits.OK
