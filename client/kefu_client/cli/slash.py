"""What can be done in a chat window besides asking: one function a command, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kefu_client.cli.attachments import Given, paths_in
from kefu_client.cli.console import inline
from kefu_client.cli.report import report
from kefu_client.cli.table import table
from kefu_client.errors import InputError, KefuCallError

if TYPE_CHECKING:
    from kefu_client.cli.window import Window


class LeaveError(Exception):
    """The person wants to leave."""


@dataclass(frozen=True, slots=True)
class Command:
    """`usage` names the argument, `act` gets what stands behind the command's name."""

    usage: str
    about: str
    act: Callable[[Window, str], None]


def _image(window: Window, argument: str) -> None:
    for path in paths_in(argument):
        window.attach(Given(path))
    _attached(window)


def _upload(window: Window, argument: str) -> None:
    for upload_id in argument.split():
        window.attach(Given(upload_id, is_upload=True))
    _attached(window)


def _attached(window: Window) -> None:
    if not window.attached:
        window.tell("no picture is attached: /image FILE…, or drop one here")
        return
    names = ", ".join(inline(given.short_name) for given, _ in window.attached)
    window.tell(f"attached: {names}. Ask about it, or press Enter to send it alone.")


def _drop(window: Window, argument: str) -> None:
    window.attached.clear()
    window.tell("no picture is attached any more")


def _new(window: Window, argument: str) -> None:
    window.begin("")
    window.tell(f"new session {window.session_id}: nothing is remembered in it")


def _session(window: Window, argument: str) -> None:
    try:
        turns = window.client.session(window.session_id).turns
        window.tell(f"session {window.session_id}: {turns_so_far(turns)}")
    except KefuCallError as error:
        if error.reason != "SESSION_NOT_FOUND":
            raise
        window.tell(f"session {window.session_id}: nothing is in it yet")
    window.tell(f"go on with it later: kefu chat --session {window.session_id}")


def _save(window: Window, argument: str) -> None:
    paths = paths_in(argument)
    if len(paths) != 1:
        raise InputError("say one file: /save transcript.json")
    document = window.client.export(window.session_id)
    path = Path(paths[0])
    try:
        with path.open("xb") as file:
            file.write(document)
    except FileExistsError:
        raise InputError(f"{path} is there already; say another name") from None
    window.tell(f"{len(document):,} bytes are in {inline(str(path))}")


def _report(window: Window, argument: str) -> None:
    if window.last is None:
        window.tell("there is no answer yet")
        return
    for line in report(window.last, window.last_names, window.console):
        window.console.line(line)
    window.console.line()


def _help(window: Window, argument: str) -> None:
    rows = [[f"{name} {each.usage}".rstrip(), each.about] for name, each in COMMANDS.items()]
    rows += [
        ["a path, then text", "attaches the picture (drop it onto the terminal), then asks"],
        ["“new topic”, “换个话题”", "in a question: the answer does not look back"],
        ["Ctrl-C", "stops the answer that is running"],
        ["Ctrl-D", "leaves"],
    ]
    for line in table(rows):
        window.console.line(f"  {line}")
    window.tell("  a line that begins with a blank is always a question")


def _quit(window: Window, argument: str) -> None:
    raise LeaveError


COMMANDS: Mapping[str, Command] = {
    "/image": Command("FILE…", "attaches pictures to the next question; alone, lists them", _image),
    "/upload": Command("ID…", "attaches what `kefu upload` has sent", _upload),
    "/drop": Command("", "takes the attached pictures off again", _drop),
    "/report": Command("", "tells everything about the last answer and its pictures", _report),
    "/new": Command("", "begins a new session", _new),
    "/session": Command("", "says which session this is, and how long", _session),
    "/save": Command("FILE", "writes the transcript as JSON", _save),
    "/help": Command("", "this list", _help),
    "/quit": Command("", "leaves", _quit),
}


def turns_so_far(count: int) -> str:
    """ "1 turn so far", "7 turns so far"."""
    return f"{count} turn{'' if count == 1 else 's'} so far"
