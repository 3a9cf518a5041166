"""`kefu download`: fetches what an id of an upload stands for, such as a picture that explains an answer."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kefu_client.cli import connection, exits
from kefu_client.cli.advice import explain
from kefu_client.cli.chat_options import seconds
from kefu_client.cli.console import Console
from kefu_client.errors import KefuCallError
from kefu_client.uploads import UPLOAD_SECONDS

_DESCRIPTION = """\
Fetches an upload by its id: a file that was sent, or a picture that `kefu chat --debug`
names (`debug.attention`: where the model looked).

  kefu download d-5f3a… attention.webp
"""


def add_to(commands: Any) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser(
        "download",
        help="fetch an upload, or a picture that explains an answer",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("upload_id", metavar="ID")
    parser.add_argument("file", metavar="FILE", help="where it goes; what is there is replaced")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        default=UPLOAD_SECONDS,
        help=f"most time for all of it (default: {UPLOAD_SECONDS:g})",
    )
    connection.add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, console: Console) -> int:
    """Writes the file once all of it is there."""
    with connection.open_client(options) as client:
        try:
            data = client.download(options.upload_id, timeout=options.timeout)
        except KefuCallError as error:
            first, *more = explain(error, options.address)
            console.complain(f"{options.upload_id}: {first}", *more)
            return exits.FAILED
    Path(options.file).write_bytes(data)
    return exits.OK
