"""What a session remembers, between the domain, the wire and JSON.

Stores keep turns as `turn_to_json` writes them, and `export_session` gives the same words to the caller, so that an
exported transcript reads back into an identical session:

    {"kefu_session": 1, "session_id": "s-1", "created_at": 1700000000.0, "updated_at": …, "turns": [
      {"number": 1, "chain": 1, "request_ids": ["r-1"], "created_at": …, "parts": [{"request_id": "r-1",
       "text": "这张呢?", …}], "answer": {"text": …, …}}, …]}

Pictures are named by their SHA-256; no transcript holds a picture's bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import timestamp_pb2

from kefu.chat.v1 import session_service_pb2 as pb
from kefu_gateway.domain.answer import Answer
from kefu_gateway.domain.session import Failure, KeptPart, KeptTurn, Session
from kefu_gateway.wire.answers import answer_to_proto
from kefu_gateway.wire.values import decode, encode

EXPORT_VERSION = 1


def turn_to_proto(turn: KeptTurn) -> pb.Turn:
    return pb.Turn(
        number=turn.number,
        chain=turn.chain,
        parts=[_part(part) for part in turn.parts],
        answer=answer_to_proto(turn.answer),
        create_time=_timestamp(turn.created_at),
    )


def session_to_proto(session: Session) -> pb.Session:
    return pb.Session(
        session_id=session.key.session_id,
        create_time=_timestamp(session.created_at),
        update_time=_timestamp(session.updated_at),
        expire_time=_timestamp(session.expires_at),
        turns=session.turns,
    )


def turn_to_json(turn: KeptTurn) -> bytes:
    """The same turn gives the same bytes."""
    return _dump(turn)


def turn_from_json(document: bytes) -> KeptTurn:
    """Raises ValueError."""
    return decode(KeptTurn, json.loads(document))


def outcome_to_json(outcome: Answer | Failure) -> bytes:
    kind = "answer" if isinstance(outcome, Answer) else "failure"
    return _dump({kind: outcome})


def outcome_from_json(document: bytes) -> Answer | Failure:
    """Raises ValueError."""
    read = json.loads(document)
    if "answer" in read:
        return decode(Answer, read["answer"])
    return decode(Failure, read["failure"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What an export holds: everything that `SessionStore.restore` needs, and the name it was exported under."""

    session_id: str
    turns: tuple[KeptTurn, ...]


def export_session(session: Session, turns: Sequence[KeptTurn]) -> bytes:
    """The transcript as UTF-8 JSON."""
    return _dump(
        {
            "kefu_session": EXPORT_VERSION,
            "session_id": session.key.session_id,
            "created_at": session.created_at,
            "updated_at": session.updated_at,
            "turns": turns,
        }
    )


def read_export(document: bytes) -> Transcript:
    """Reads what `export_session` wrote. Raises ValueError saying what is wrong with it."""
    try:
        read = json.loads(document)
    except ValueError:
        raise ValueError("the transcript is not JSON") from None
    if not isinstance(read, dict) or "kefu_session" not in read:
        raise ValueError("the JSON is not a transcript of Kefu")
    if read["kefu_session"] != EXPORT_VERSION:
        raise ValueError("the transcript was written by another version of Kefu")
    return decode(Transcript, read)


def _part(part: KeptPart) -> pb.TurnPart:
    if part.picture_sha256:
        return pb.TurnPart(picture_sha256=part.picture_sha256, request_id=part.request_id)
    return pb.TurnPart(text=part.text, request_id=part.request_id)


def _timestamp(seconds: float) -> timestamp_pb2.Timestamp:
    stamp = timestamp_pb2.Timestamp()
    stamp.FromMicroseconds(round(seconds * 1_000_000))
    return stamp


def _dump(value: Any) -> bytes:
    plain = encode(value)
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        # A lone surrogate is no UTF-8. Escaped it stays what it was; the turn is not lost for it.
        return json.dumps(plain, separators=(",", ":"), allow_nan=False).encode()
