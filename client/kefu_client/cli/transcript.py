"""A remembered conversation as lines for a person."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from kefu.chat.v1.session_service_pb2 import Session, Turn, TurnPart
from kefu_client.cli.console import Console, inline, printable

# As many digits as git shows of a commit, and a few more: a session has few pictures.
_HASH_DIGITS = 12
_INDENT = "     "
_SPEAKERS = 10


def session_line(session: Session) -> str:
    """What is known of the session, in one line."""
    turns = f"{session.turns} turn{'' if session.turns == 1 else 's'}"
    return (
        f"session {inline(session.session_id)}: {turns}, {moment(session.create_time)} to "
        f"{moment(session.update_time)}, kept until {moment(session.expire_time)}"
    )


def turn_lines(turn: Turn, console: Console) -> list[str]:
    """One round: who said what, pictures by the beginning of their hash."""
    lines = [f"{turn.number:>3}  {console.dim(moment(turn.create_time))}"]
    said = [line for part in turn.parts for line in _part(part)]
    lines += _speech("customer", said)
    lines += _speech("kefu", printable(turn.answer.text).splitlines())
    remark = _remark(turn)
    if remark:
        lines.append(_INDENT + " " * _SPEAKERS + console.dim(remark))
    return lines


def moment(stamp: Timestamp) -> str:
    """In this machine's own time zone, to the second."""
    local = datetime.fromtimestamp(stamp.seconds, UTC).astimezone()
    return local.strftime("%Y-%m-%d %H:%M:%S")


def _part(part: TurnPart) -> list[str]:
    if part.WhichOneof("content") == "picture_sha256":
        return [f"[picture {inline(part.picture_sha256[:_HASH_DIGITS])}]"]
    return printable(part.text).splitlines()


def _speech(speaker: str, said: list[str]) -> list[str]:
    """The speaker's name stands before the first line."""
    names = [speaker, *[""] * (len(said) - 1)]
    return [
        f"{_INDENT}{name:<{_SPEAKERS}}{line}".rstrip()
        for name, line in zip(names, said or [""], strict=True)
    ]


def _remark(turn: Turn) -> str:
    answer = turn.answer
    told = []
    requests = {part.request_id for part in turn.parts}
    if len(requests) > 1:
        told.append(f"{len(requests)} messages answered together")
    if answer.HasField("handover"):
        told.append(f"handed over to a person: {answer.handover.reason}")
    if answer.confidence.method not in ("", "none"):
        told.append(f"{answer.confidence.score:.2f} sure")
    if answer.model:
        told.append(answer.model)
    return inline(" · ".join(told))
