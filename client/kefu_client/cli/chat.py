"""`kefu chat`: one question, its answer as it comes, and what there is to know about it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from kefu.chat.v1.answer_pb2 import Answer
from kefu.chat.v1.chat_service_pb2 import Delta
from kefu.chat.v1.question_pb2 import Part
from kefu.media.v1.picture_pb2 import PictureReport
from kefu_client.cli import chat_options, connection, exits
from kefu_client.cli.advice import explain
from kefu_client.cli.console import Console, printable
from kefu_client.cli.documents import document, error_document
from kefu_client.cli.progress import Progress
from kefu_client.cli.report import report
from kefu_client.client import KefuClient
from kefu_client.errors import InputError, KefuCallError
from kefu_client.question import Settings, picture
from kefu_client.retries import OnRetry
from kefu_client.stream import AnswerStream, Event

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
    """Asks, and shows the answer in the form that was asked for."""
    text = _text(options.text, has_pictures=bool(options.image), stdin=sys.stdin)
    parts: list[str | Part] = [
        picture(path, crop=options.crop, elements=options.elements) for path in options.image
    ]
    if text:
        parts.append(text)
    settings = chat_options.settings(options)
    progress = Progress(console, _first_wait(len(options.image)))
    with (
        connection.open_client(options, on_retry=_telling(progress)) as client,
        progress,
    ):
        try:
            _show(client, parts, settings, options, console, progress)
        except KefuCallError as error:
            progress.clear()
            if options.json or options.json_lines:
                console.json(error_document(error), indent=None if options.json_lines else 2)
            console.complain(*explain(error, options.address, options.image))
            return exits.FAILED
    return exits.OK


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
                console.json({_kind(event): document(event)}, indent=None)
            return
        _show_text(stream, options.image, console, progress)
    if not options.quiet:
        # Without its folder, which the person knows and which would push the columns off the screen.
        names = [Path(image).name for image in options.image]
        for line in report(stream.answer, names, console):
            console.line(line)


def _show_text(
    stream: AnswerStream, names: Sequence[str], console: Console, progress: Progress
) -> None:
    shown: list[str] = []
    prepared = 0
    for event in stream:
        if isinstance(event, PictureReport):
            prepared += 1
            progress.say(
                f"{prepared} of {len(names)} pictures prepared"
                if prepared < len(names)
                else "waiting for the first token"
            )
        elif isinstance(event, Delta):
            progress.clear()
            shown.append(event.text)
            console.write(event.text)
    progress.clear()
    _finish_text("".join(shown), stream.answer, console)


def _finish_text(shown: str, answer: Answer, console: Console) -> None:
    """Writes what the whole answer has and the pieces had not: all of a cached one, or what a rule has changed."""
    if answer.text.startswith(shown):
        console.write(answer.text.removeprefix(shown))
    else:
        console.line()
        console.line(console.warn("This answer was replaced after it was written:"))
        console.write(answer.text)
    if not answer.text.endswith("\n"):
        console.line()


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


def _first_wait(pictures: int) -> str:
    if pictures == 0:
        return "waiting for the first token"
    return "preparing the picture" if pictures == 1 else f"preparing {pictures} pictures"


def _telling(progress: Progress) -> OnRetry:
    def tell(error: KefuCallError, seconds: float) -> None:
        progress.say(f"{printable(error.message)}: trying again in {seconds:.1f} s")

    return tell


def _kind(event: Event) -> str:
    if isinstance(event, PictureReport):
        return "picture"
    return "delta" if isinstance(event, Delta) else "answer"
