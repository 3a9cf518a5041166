"""Pictures as a person names them: on the command line, behind /image, or dropped onto the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kefu.chat.v1.question_pb2 import Part
from kefu_client.formats import HEAD_BYTES, media_type_of
from kefu_client.question import Crop, picture, uploaded

# One word as a shell would read it; file managers quote or escape what they drop.
_WORD = re.compile(r"""\s*((?:'[^']*'|"[^"]*"|\\.|[^\s'"\\])+)""")
_PIECE = re.compile(r"""'([^']*)'|"([^"]*)"|\\(.)""")


@dataclass(frozen=True, slots=True)
class Given:
    """A picture of a question: the path of a file, or the id of an upload."""

    name: str
    is_upload: bool = False

    @property
    def short_name(self) -> str:
        """Without its folder, which the person knows and which would push the columns off the screen."""
        return self.name if self.is_upload else Path(self.name).name

    def part(self, crop: Crop, *, elements: bool) -> Part:
        """Raises OSError, InputError."""
        if self.is_upload:
            return uploaded(self.name, crop=crop, elements=elements)
        return picture(self.name, crop=crop, elements=elements)


def paths_in(text: str) -> list[str]:
    """Every word of the text as a path, whether it is there or not; a text that is one path with blanks is one."""
    if text.strip() and _is_file(_path(text.strip())):
        return [_path(text.strip())]
    return [_path(word) for word, _ in _words(text)]


def take_pictures(line: str) -> tuple[list[str], str]:
    """The pictures and documents that stand at the beginning of a line, and the text behind them.

        take_pictures("'/tmp/my order.png' 多少钱?") == (["/tmp/my order.png"], "多少钱?")

    A word counts only when it is the path of a file that begins like a picture: a question is never taken for one.
    """
    whole = _path(line.strip())
    if whole and _is_picture(whole):
        return [whole], ""
    found = []
    rest = line
    for word, after in _words(line):
        path = _path(word)
        if not _is_picture(path):
            break
        found.append(path)
        rest = line[after:]
    return found, rest.strip()


def _words(text: str) -> Iterator[tuple[str, int]]:
    """Each word without its quotes, and where it ends. A quote that nothing closes ends the words."""
    at = 0
    while (word := _WORD.match(text, at)) is not None:
        at = word.end()
        yield _PIECE.sub(lambda piece: piece[1] or piece[2] or piece[3] or "", word[1]), at


def _path(word: str) -> str:
    if word.startswith("file://"):
        return unquote(urlsplit(word).path)
    if word.startswith("~/"):
        return str(Path.home() / word[2:])
    return word


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        # Too long for a file's name, or with a NUL in it: it is somebody's text.
        return False


def _is_picture(path: str) -> bool:
    if not _is_file(path):
        return False
    try:
        with Path(path).open("rb") as file:
            return bool(media_type_of(file.read(HEAD_BYTES)))
    except OSError:
        return False
