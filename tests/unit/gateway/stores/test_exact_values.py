"""wire/values.py and wire/transcripts.py: what is written reads back the same, to the last bit."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kefu.chat.v1 import answer_pb2
from kefu_gateway.domain.answer import Answer, FinishReason
from kefu_gateway.domain.session import Failure, KeptTurn, Session, SessionKey
from kefu_gateway.wire.answers import answer_from_proto, answer_to_proto
from kefu_gateway.wire.transcripts import (
    export_session,
    outcome_from_json,
    outcome_to_json,
    read_export,
    turn_from_json,
    turn_to_json,
)
from kefu_gateway.wire.values import decode, encode
from tests.contract.stores.builders import NOW, answer, turn

json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    text=st.text(),
    score=st.floats(allow_nan=False),
    fields=st.dictionaries(st.text(), json_value.filter(lambda value: _finite(value)), max_size=4),
    created_at=st.floats(0, 4e9),
)
def test_a_turn_reads_back_the_same(
    text: str, score: float, fields: dict[str, object], created_at: float
) -> None:
    whole = answer()
    odd = replace(
        whole, text=text, fields=fields, confidence=replace(whole.confidence, score=score)
    )
    kept = replace(turn(), answer=odd, created_at=created_at)
    document = turn_to_json(kept)
    assert turn_from_json(document) == kept
    assert turn_to_json(turn_from_json(document)) == document


def _finite(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return not isinstance(value, list) or all(map(_finite, value))


def test_numbers_that_json_has_not_are_kept_by_name() -> None:
    odd = replace(answer(), timings={"a": math.inf, "b": -math.inf, "c": math.nan})
    written = json.loads(outcome_to_json(odd))["answer"]["timings"]
    assert written == {"a": "Infinity", "b": "-Infinity", "c": "NaN"}
    read = outcome_from_json(outcome_to_json(odd))
    assert isinstance(read, Answer)
    assert (read.timings["a"], read.timings["b"]) == (math.inf, -math.inf)
    assert math.isnan(read.timings["c"])


@pytest.mark.parametrize(
    "outcome", [answer(), Failure(reason="OVERLOADED", message="忙", metadata=(("a", "1"),))]
)
def test_an_outcome_reads_back_the_same(outcome: Answer | Failure) -> None:
    assert outcome_from_json(outcome_to_json(outcome)) == outcome


def test_an_older_document_takes_the_defaults_and_a_newer_one_is_understood() -> None:
    document = encode(answer())
    del document["cached"], document["usage"]
    document["of_a_later_version"] = {"x": 1}
    read = decode(Answer, document)
    assert read == replace(answer(), cached=False, usage=type(answer().usage)())


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("text",), 3),
        (("finish_reason",), "whim"),
        (("joined_requests",), True),
        (("joined_requests",), 1.5),
        (("confidence", "score"), "high"),
        (("evidence",), {"0": {}}),
        (("timings",), []),
        (("pictures", 0, "original"), None),
        (("action",), "refund"),
    ],
)
def test_a_document_that_does_not_fit_is_refused_by_its_place(
    path: tuple[str | int, ...], wrong: object
) -> None:
    document = encode(answer())
    *way, last = path
    place = document
    for step in way:
        place = place[step]
    place[last] = wrong
    with pytest.raises(ValueError, match=str(last)):
        decode(Answer, document)


def test_a_missing_field_is_named() -> None:
    document = encode(turn())
    del document["parts"][0]["request_id"]
    with pytest.raises(ValueError, match=r"\.parts\[0\]\.request_id is missing"):
        decode(KeptTurn, document)


def test_an_answer_survives_the_wire() -> None:
    sent = replace(
        answer(),
        # What protobuf has not: 64-bit probabilities, and whole numbers in a Struct.
        confidence=replace(answer().confidence, score=0.5, weakest=0.25),
        fields={"amount": "158.80", "count": 3.0, "nested": {"list": [1.0, None, True]}},
        pictures=tuple(
            replace(
                report,
                crop=replace(report.crop, confidence=0.5),
                quality=tuple(replace(found, severity=0.25) for found in report.quality),
            )
            for report in answer().pictures
        ),
        debug={"prompt": {"tokens": 438.0}},
    )
    assert answer_from_proto(answer_to_proto(sent)) == sent
    bare = Answer(request_id="r", text="", finish_reason=FinishReason.CANCELLED, model="m")
    assert answer_from_proto(answer_to_proto(bare)) == bare


def test_an_answer_that_no_gateway_sends_is_refused() -> None:
    message = answer_to_proto(answer())
    message.finish_reason = answer_pb2.FINISH_REASON_UNSPECIFIED
    with pytest.raises(ValueError, match="finish reason"):
        answer_from_proto(message)


def session_of(turns: list[KeptTurn]) -> Session:
    return Session(
        key=SessionKey("acme", "s-1"),
        created_at=turns[0].created_at,
        updated_at=turns[-1].created_at,
        expires_at=NOW + 3600,
        turns=len(turns),
        chain=turns[-1].chain,
    )


def test_an_export_reads_back_and_says_nothing_of_the_tenant() -> None:
    turns = [turn(1), turn(2, chain=2, request_ids=("r-2", "r-3"))]
    document = export_session(session_of(turns), turns)
    transcript = read_export(document)
    assert transcript.session_id == "s-1"
    assert list(transcript.turns) == turns
    assert b"acme" not in document


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "not a transcript"),
        (b"{}", "not a transcript"),
        (b'{"kefu_session": 2, "turns": []}', "another version"),
        (b'{"kefu_session": 1, "turns": []}', "session_id is missing"),
        (b'{"kefu_session": 1, "session_id": "s", "turns": [{}]}', r"turns\[0\].* is missing"),
    ],
)
def test_what_is_no_transcript_is_refused(document: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_export(document)
