"""Bad input: each refusal has its reason and its field, before any work is done."""

from __future__ import annotations

import pytest

from kefu.chat.v1 import question_pb2
from kefu_common.errors import Reason
from tests.rpc.gateway.conftest import House
from tests.rpc.gateway.test_chat_road import ask, refused

LIMIT = 20 * 1024 * 1024

CASES = {
    "no parts": (ask(), Reason.TURN_EMPTY, "question.parts"),
    "only blanks": (ask("  \n"), Reason.TURN_EMPTY, "question.parts"),
    "empty picture": (ask("?", b""), Reason.PICTURE_EMPTY, "question.parts[1].picture.data"),
    "picture one byte too large": (
        ask("?", b"x" * (LIMIT + 1)),
        Reason.PICTURE_TOO_LARGE,
        "question.parts[1].picture.data",
    ),
    "eleven pictures": (ask(*[b"x"] * 11), Reason.TOO_MANY_PICTURES, "question.parts"),
    "more than the model takes": (ask(*[b"x"] * 5), Reason.TOO_MANY_PICTURES, "question.parts"),
    "twenty-one parts": (ask(*["x"] * 21), Reason.TOO_MANY_PARTS, "question.parts"),
    "an empty part": (
        question_pb2.Question(parts=[question_pb2.Part()]),
        Reason.FIELD_INVALID,
        "question.parts[0]",
    ),
    "picture without source": (
        question_pb2.Question(parts=[question_pb2.Part(picture=question_pb2.Picture())]),
        Reason.PICTURE_EMPTY,
        "question.parts[0].picture.data",
    ),
    "picture by URL": (
        question_pb2.Question(
            parts=[question_pb2.Part(picture=question_pb2.Picture(url="https://example.com/a"))]
        ),
        Reason.PICTURE_SOURCE_DISABLED,
        "question.parts[0].picture.url",
    ),
    "media type not accepted": (
        question_pb2.Question(
            parts=[
                question_pb2.Part(
                    picture=question_pb2.Picture(data=b"GIF89a", media_type="image/gif")
                )
            ]
        ),
        Reason.PICTURE_FORMAT_UNSUPPORTED,
        "question.parts[0].picture.media_type",
    ),
    "unknown model": (ask("?", model="gpt"), Reason.MODEL_UNKNOWN, None),
    "odd session id": (ask("?", session_id="a b"), Reason.FIELD_INVALID, "question.session_id"),
    "text past the context": (ask("长" * 400), Reason.PROMPT_TOO_LONG, "question.parts"),
    "text past every limit": (ask("x" * 40_000), Reason.FIELD_INVALID, "question.parts[0].text"),
    "temperature": (
        ask("?", generation=question_pb2.Generation(temperature=2.5)),
        Reason.SETTING_INVALID,
        "question.generation.temperature",
    ),
    "not a number": (
        ask("?", generation=question_pb2.Generation(temperature=float("nan"))),
        Reason.SETTING_INVALID,
        "question.generation.temperature",
    ),
    "max tokens": (
        ask("?", generation=question_pb2.Generation(max_tokens=0)),
        Reason.SETTING_INVALID,
        "question.generation.max_tokens",
    ),
    "top p": (
        ask("?", generation=question_pb2.Generation(top_p=0)),
        Reason.SETTING_INVALID,
        "question.generation.top_p",
    ),
    "seed": (
        ask("?", generation=question_pb2.Generation(seed=2**63)),
        Reason.SETTING_INVALID,
        "question.generation.seed",
    ),
    "nine stops": (
        ask("?", generation=question_pb2.Generation(stop=["x"] * 9)),
        Reason.SETTING_INVALID,
        "question.generation.stop",
    ),
    "empty stop": (
        ask("?", generation=question_pb2.Generation(stop=[""])),
        Reason.SETTING_INVALID,
        "question.generation.stop",
    ),
    "schema that is not JSON": (
        ask("?", generation=question_pb2.Generation(json_schema="{")),
        Reason.SCHEMA_INVALID,
        "question.generation.json_schema",
    ),
}


async def test_the_lower_of_two_limits_is_told(house: House) -> None:
    """Any model may have ten pictures a question; this one four."""
    for count, limit in ((11, "10"), (5, "4")):
        error = await refused(house, ask(*[b"x"] * count))
        assert (error.metadata["limit"], error.metadata["got"]) == (limit, str(count))


@pytest.mark.parametrize("name", CASES)
async def test_refused_with_reason_and_field(house: House, name: str) -> None:
    question, reason, field = CASES[name]
    error = await refused(house, question)
    assert error.reason is reason
    assert error.field == field
    assert not house.triton.seen, "nothing of a refused question reaches the model host"
