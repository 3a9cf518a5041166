"""The chat window of `kefu chat`: reads lines, asks, shows answers, keeps what is attached and what came last."""

from __future__ import annotations

import argparse
import uuid
from contextlib import closing

from kefu.chat.v1.answer_pb2 import Answer
from kefu.chat.v1.question_pb2 import Part
from kefu_client.cli import chat_options, connection, exits
from kefu_client.cli.advice import explain
from kefu_client.cli.answers import show_text, telling, waiting_for
from kefu_client.cli.attachments import Given, take_pictures
from kefu_client.cli.console import Console, inline
from kefu_client.cli.keyboard import Keyboard
from kefu_client.cli.progress import Progress
from kefu_client.cli.report import remarks
from kefu_client.cli.slash import COMMANDS, LeaveError, turns_so_far
from kefu_client.cli.talk import Talk
from kefu_client.client import KefuClient
from kefu_client.errors import InputError, KefuCallError
from kefu_client.question import question

_SECONDS = 120.0


def run(options: argparse.Namespace, console: Console) -> int:
    """Opens the window; gives the exit code when it is left. Raises KefuCallError where no gateway answers."""
    if options.request_id:
        raise InputError("--request-id belongs to one question: say the question as well")
    with connection.open_client(options) as client:
        window = Window(client, options, console)
        for given in options.pictures:
            window.attach(given)
        window.greet()
        try:
            window.read_lines()
        finally:
            window.leave()
    return exits.OK


class Window:
    """What the commands of `slash.py` work on.

    Attributes:
        attached: what goes with the next question, and the parts made of it. Only an answer takes it off: a question
            that failed or was stopped can be asked again.
        last: the last answer, and `last_names` the names of its pictures.
    """

    def __init__(self, client: KefuClient, options: argparse.Namespace, console: Console) -> None:
        self.client = client
        self.console = console
        self.attached: list[tuple[Given, Part]] = []
        self.last: Answer | None = None
        self.last_names: list[str] = []
        self._options = options
        # Read once: a file of facts or a schema that is missing is said before the first question.
        self._settings = chat_options.settings(options)
        self._keyboard = Keyboard(list(COMMANDS))
        self._talk = self._new_talk(options.session)

    @property
    def session_id(self) -> str:
        return self._talk.session_id

    def attach(self, given: Given) -> None:
        """Raises OSError, InputError."""
        part = given.part(self._options.crop, elements=self._options.elements)
        self.attached.append((given, part))

    def begin(self, session_id: str) -> None:
        """Goes over to another session; "" for a new one."""
        self._talk.close()
        self._talk = self._new_talk(session_id)
        self.last = None

    def tell(self, text: str) -> None:
        """A line of the window itself."""
        self.console.line(self.console.dim(text))

    def greet(self) -> None:
        """Says who answers and what is remembered. Raises KefuCallError."""
        models = self.client.models().models
        who = self._options.model or (models[0].name if models else "")
        self.tell(f"Kefu at {self._options.address}" + (f", model {inline(who)}" if who else ""))
        known = self._known() if self._options.session else "new"
        self.tell(f"session {self.session_id}: {known}. /help lists what can be done here.")

    def read_lines(self) -> None:
        """Until the person leaves."""
        while True:
            try:
                line = self._keyboard.line(self._prompt())
            except EOFError:
                self.console.line()
                return
            except KeyboardInterrupt:
                self.console.line()
                self.tell("Ctrl-D leaves")
                continue
            try:
                self._do(line)
            except LeaveError:
                return

    def leave(self) -> None:
        """Ends the stream, and says how to come back."""
        self._talk.close()
        if self.last is not None:
            self.tell(f"go on with this conversation: kefu chat --session {self.session_id}")

    def _do(self, line: str) -> None:
        """One line of the person, whatever comes of it."""
        names: list[str] = []
        try:
            name, _, argument = line.rstrip().partition(" ")
            if name in COMMANDS:
                COMMANDS[name].act(self, argument)
                return
            pictures, text = take_pictures(line)
            for path in pictures:
                self.attach(Given(path))
            if pictures and not text:
                COMMANDS["/image"].act(self, "")
                return
            if line.startswith("/") and not pictures:
                raise InputError(f"there is no command {name}; /help lists them")
            names = [given.name for given, _ in self.attached]
            if text or names:
                self._ask(text)
        except KeyboardInterrupt:
            self.console.line()
            self.tell("stopped")
        except KefuCallError as error:
            self.console.complain(*explain(error, self._options.address, names))
        except InputError as error:
            self.console.complain(str(error))
        except OSError as error:
            if error.filename is None:
                raise
            self.console.complain(f"{error.filename}: {(error.strerror or str(error)).lower()}")

    def _ask(self, text: str) -> None:
        parts: list[str | Part] = [part for _, part in self.attached]
        if text:
            parts.append(text)
        asked = question(*parts, **self._settings)
        asked.session_id = ""
        progress = Progress(self.console, waiting_for(len(self.attached)))
        self._talk.on_retry = telling(progress)
        with progress, closing(self._talk.ask(asked)) as events:
            answer = show_text(
                events,
                len(self.attached),
                self.console,
                progress,
                lead=self.console.bold("kefu> "),
            )
        self.last = answer
        self.last_names = [given.short_name for given, _ in self.attached]
        self.attached.clear()
        if not self._options.quiet:
            for line in remarks(answer, self.last_names, self.console):
                self.console.line(line)

    def _prompt(self) -> str:
        count = len(self.attached)
        with_pictures = f" [{count} picture{'' if count == 1 else 's'}]" if count else ""
        return self.console.bold(f"you{with_pictures}> ")

    def _known(self) -> str:
        try:
            return turns_so_far(self.client.session(self.session_id).turns)
        except KefuCallError as error:
            if error.reason == "SESSION_NOT_FOUND":
                return "nothing is in it yet"
            if error.reason in ("NOT_IMPLEMENTED", "UNIMPLEMENTED"):
                return "this gateway does not tell how long it is"
            raise

    def _new_talk(self, session_id: str) -> Talk:
        # Long enough that nobody guesses it, short enough to be read aloud.
        session_id = session_id or f"chat-{uuid.uuid4().hex[:16]}"
        return Talk(self.client, session_id, self._options.timeout or _SECONDS)
