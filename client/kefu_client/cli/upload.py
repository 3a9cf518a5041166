"""`kefu upload`: sends files once, to be used in any number of questions."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from kefu_client.cli import connection, exits
from kefu_client.cli.advice import explain
from kefu_client.cli.bar import Bar
from kefu_client.cli.chat_options import seconds
from kefu_client.cli.console import Console, inline
from kefu_client.cli.documents import document
from kefu_client.cli.transcript import moment
from kefu_client.errors import KefuCallError
from kefu_client.uploads import UPLOAD_SECONDS

_DESCRIPTION = """\
Sends pictures and PDF documents of at most 20 MiB, and prints for each the id under
which questions can name it: kefu chat --upload ID "…".

The same file has the same id. An upload that broke off goes on where it stopped, also
when the command is run again; one that is complete is not sent again.
"""


def add_to(commands: Any) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser(
        "upload",
        help="send pictures once, to ask about them later",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("files", metavar="FILE", nargs="+")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        default=UPLOAD_SECONDS,
        help=f"most time for one file, repetitions included (default: {UPLOAD_SECONDS:g})",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("-q", "--quiet", action="store_true", help="print the ids alone")
    form.add_argument("--json", action="store_true", help="one JSON document a file, one a line")
    connection.add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, console: Console) -> int:
    """Sends one file after the other; the first that fails ends it."""
    bar = Bar(console)
    with connection.open_client(options, on_retry=bar.wait) as client:
        for file in options.files:
            name = inline(Path(file).name)
            try:
                with bar.of(name):
                    status = client.upload(file, on_progress=bar.show, timeout=options.timeout)
            except KefuCallError as error:
                first, *more = explain(error, options.address)
                console.complain(f"{file}: {first}", *more)
                return exits.FAILED
            if options.json:
                console.json({"file": file, **document(status)}, indent=None)
            elif options.quiet:
                console.line(status.upload_id)
            else:
                until = moment(status.expire_time)
                console.line(f"{inline(status.upload_id)}  {name}  kept until {until}")
            # What is there must be known also when the next file fails.
            console.out.flush()
    if sys.stdout.isatty() and not (options.quiet or options.json):
        console.line(console.dim(f'use it: kefu chat --upload {status.upload_id} "…"'))
    return exits.OK
