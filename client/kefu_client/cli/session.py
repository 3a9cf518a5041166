"""`kefu session`: reads, exports and deletes conversations."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kefu_client.cli import connection, exits
from kefu_client.cli.console import Console, inline
from kefu_client.cli.documents import document
from kefu_client.cli.transcript import session_line, turn_lines

_EPILOGUE = """\
examples:
  kefu session show c-17
  kefu session export c-17 --output c-17.json
  kefu session rm c-17 c-18
"""


def add_to(commands: Any) -> None:
    """Adds the subcommand with its own subcommands."""
    parser = commands.add_parser(
        "session",
        help="show, export or delete a conversation",
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    show = actions.add_parser("show", help="print the transcript")
    show.add_argument("session", metavar="ID")
    show.add_argument("--json", action="store_true", help="one JSON document on stdout")
    show.set_defaults(run=_show)

    export = actions.add_parser(
        "export", help="write the transcript as JSON", description="Pictures stand in it by hash."
    )
    export.add_argument("session", metavar="ID")
    export.add_argument(
        "--output", metavar="FILE", type=Path, help="where to (default: stdout); is replaced"
    )
    export.set_defaults(run=_export)

    remove = actions.add_parser(
        "rm",
        help="delete conversations",
        description="Deletes them with the pictures that no other conversation uses. There is no way back.",
    )
    remove.add_argument("sessions", metavar="ID", nargs="+")
    remove.set_defaults(run=_remove)

    for each in (show, export, remove):
        connection.add_options(each)


def _show(options: argparse.Namespace, console: Console) -> int:
    with connection.open_client(options) as client:
        session = client.session(options.session)
        turns = client.turns(options.session)
        if options.json:
            whole = {"session": document(session), "turns": [document(turn) for turn in turns]}
            console.json(whole)
            return exits.OK
        console.line(session_line(session))
        chain = 0
        for turn in turns:
            if turn.chain != chain:
                chain = turn.chain
                console.line()
                console.line(console.bold(f"Topic {chain}"))
            console.line()
            for line in turn_lines(turn, console):
                console.line(line)
    return exits.OK


def _export(options: argparse.Namespace, console: Console) -> int:
    with connection.open_client(options) as client:
        transcript = client.export(options.session)
    if options.output is None:
        console.verbatim(transcript.decode("utf-8"))
        return exits.OK
    options.output.write_bytes(transcript)
    console.line(f"{len(transcript):,} bytes are in {inline(str(options.output))}")
    return exits.OK


def _remove(options: argparse.Namespace, console: Console) -> int:
    with connection.open_client(options) as client:
        for session_id in options.sessions:
            client.delete(session_id)
            console.line(f"deleted {inline(session_id)}")
    return exits.OK
