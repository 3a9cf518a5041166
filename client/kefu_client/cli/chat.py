"""`kefu chat`: one question, its answer as it comes, and what there is to know about it; or a chat window."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from kefu.chat.v1.chat_service_pb2 import Delta
from kefu.chat.v1.question_pb2 import Part
from kefu.media.v1.picture_pb2 import PictureReport
from kefu_client.cli import chat_options, connection, exits, window
from kefu_client.cli.advice import explain
from kefu_client.cli.answers import show_text, telling, waiting_for
from kefu_client.cli.console import Console
from kefu_client.cli.documents import document, error_document
from kefu_client.cli.progress import Progress
from kefu_client.cli.report import report
from kefu_client.client import KefuClient
from kefu_client.errors import InputError, KefuCallError
from kefu_client.question import Settings
from kefu_client.stream import Event, Interrupted

_NO_QUESTION = (
    'there is no question. Say it: kefu chat --image refund.png "为什么被拒?", '
    "or give it on stdin: echo … | kefu chat -"
)


def add_to(commands: Any) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser(
        "chat",
        help="ask a question about pictures",
        description=chat_options.DESCRIPTION,
        epilog=chat_options.EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    chat_options.add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, console: Console) -> int:
    """Asks, and shows the answer in the form that was asked for; without a question, a person gets a chat window."""
    if _is_for_a_window(options, console):
        return window.run(options, console)
    text = _text(options.text, has_pictures=bool(options.pictures), stdin=sys.stdin)
    parts: list[str | Part] = [
        given.part(options.crop, elements=options.elements) for given in options.pictures
    ]
    if text:
        parts.append(text)
    settings = chat_options.settings(options)
    progress = Progress(console, waiting_for(len(options.pictures)))
    with (
        connection.open_client(options, on_retry=telling(progress)) as client,
        progress,
    ):
        try:
            _show(client, parts, settings, options, console, progress)
        except KefuCallError as error:
            progress.clear()
            if options.json or options.json_lines:
                console.json(error_document(error), indent=None if options.json_lines else 2)
            names = [given.name for given in options.pictures]
            console.complain(*explain(error, options.address, names))
            return exits.FAILED
    return exits.OK


def _is_for_a_window(options: argparse.Namespace, console: Console) -> bool:
    """Nothing was asked, and a person sits at both ends."""
    people = sys.stdin.isatty() and console.out.isatty()
    return options.text is None and people and not (options.json or options.json_lines)


def _show(
    client: KefuClient,
    parts: Sequence[str | Part],
    settings: Settings,
    options: argparse.Namespace,
    console: Console,
    progress: Progress,
) -> None:
    if options.json:
        answer = client.ask(*parts, timeout=options.timeout, **settings)
        progress.clear()
        console.json(document(answer))
        return
    with client.stream(*parts, timeout=options.timeout, **settings) as stream:
        if options.json_lines:
            for event in stream:
                progress.clear()
                console.json(_line(event), indent=None)
            return
        answer = show_text(stream, len(options.pictures), console, progress)
    if not options.quiet:
        for line in report(answer, [given.short_name for given in options.pictures], console):
            console.line(line)


def _text(argument: str | None, *, has_pictures: bool, stdin: TextIO) -> str:
    """The question's text: the argument, or stdin for "-" and where something is piped in."""
    if argument is not None and argument != "-":
        return argument
    if argument is None and stdin.isatty():
        if not has_pictures:
            raise InputError(_NO_QUESTION)
        # The server decides what a picture without a question means.
        return ""
    try:
        text = stdin.buffer.read().decode("utf-8").strip()
    except UnicodeDecodeError:
        raise InputError("what came on stdin is not UTF-8 text") from None
    if not text and not has_pictures:
        raise InputError(_NO_QUESTION)
    return text


def _line(event: Event) -> dict[str, Any]:
    if isinstance(event, Interrupted):
        return {"interrupted": error_document(event.error)["error"]}
    if isinstance(event, PictureReport):
        return {"picture": document(event)}
    return {"delta" if isinstance(event, Delta) else "answer": document(event)}
