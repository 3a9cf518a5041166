"""Shows an answer's text as it comes."""

from __future__ import annotations

from collections.abc import Iterable

from kefu.chat.v1.answer_pb2 import Answer
from kefu.chat.v1.chat_service_pb2 import Delta
from kefu.media.v1.picture_pb2 import PictureReport
from kefu_client.cli.console import Console, printable
from kefu_client.cli.progress import Progress
from kefu_client.errors import KefuCallError
from kefu_client.retries import OnRetry
from kefu_client.stream import Event, Interrupted

_FIRST_TOKEN = "waiting for the first token"  # noqa: S105 - a word of an answer, not a password


def waiting_for(pictures: int) -> str:
    """What is waited for first."""
    if pictures == 0:
        return _FIRST_TOKEN
    return "preparing the picture" if pictures == 1 else f"preparing {pictures} pictures"


def telling(progress: Progress) -> OnRetry:
    """Says why and when a question is asked again."""

    def tell(error: KefuCallError, seconds: float) -> None:
        progress.say(f"{printable(error.message)}: trying again in {seconds:.1f} s")

    return tell


def show_text(
    events: Iterable[Event], pictures: int, console: Console, progress: Progress, *, lead: str = ""
) -> Answer:
    """Writes the text to stdout, `lead` before its first word, and gives the whole answer."""
    text = _Text(console, progress, lead)
    answer = Answer()
    prepared = 0
    for event in events:
        match event:
            case PictureReport():
                prepared += 1
                progress.say(
                    f"{prepared} of {pictures} pictures prepared"
                    if prepared < pictures
                    else _FIRST_TOKEN
                )
            case Delta():
                text.write(event.text)
            case Interrupted():
                text.break_off()
            case Answer():
                answer = event
    text.finish(answer.text)
    return answer


class _Text:
    def __init__(self, console: Console, progress: Progress, lead: str) -> None:
        self._console = console
        self._progress = progress
        self._lead = lead
        self._shown = ""

    def write(self, piece: str) -> None:
        self._progress.clear()
        if self._lead:
            self._console.out.write(self._lead)
            self._lead = ""
        self._shown += piece
        self._console.write(piece)

    def break_off(self) -> None:
        if not self._shown:
            return
        self._console.line()
        self._console.line(
            self._console.warn("The gateway broke off here. The whole answer follows:")
        )
        self._console.out.flush()
        self._shown = ""

    def finish(self, whole: str) -> None:
        """Writes what the whole answer has and the pieces had not: all of a cached one, or what a rule has changed."""
        if not whole.startswith(self._shown):
            self._console.line()
            self._console.line(self._console.warn("This answer was replaced after it was written:"))
            self._shown = ""
        self.write(whole.removeprefix(self._shown))
        if not whole.endswith("\n"):
            self._console.line()
