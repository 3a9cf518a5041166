"""From paths, bytes and words to a Question."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kefu_client import MESSAGE_BYTES, InputError, picture, question


def test_an_unset_setting_is_absent_and_a_zero_is_not() -> None:
    assert not question("hi").HasField("generation")
    asked = question("hi", temperature=0, seed=0)
    assert asked.generation.HasField("temperature")
    assert asked.generation.HasField("seed")
    assert not asked.generation.HasField("top_p")
    assert not asked.HasField("context")


def test_a_schema_may_be_text_or_a_mapping() -> None:
    schema = {"type": "object", "properties": {"订单": {"type": "string"}}}
    assert json.loads(question("hi", json_schema=schema).generation.json_schema) == schema
    assert question("hi", json_schema="{not json").generation.json_schema == "{not json"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 2**32}, "max_tokens"),
        ({"seed": "seven"}, "seed"),
        ({"temperature": "hot"}, "temperature"),
        ({"context": {"when": object()}}, "context"),
    ],
)
def test_a_value_that_no_field_can_hold_is_named(settings: dict[str, object], named: str) -> None:
    with pytest.raises(InputError, match=named):
        question("hi", **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [{}, {"model": "\udcff"}, {"stop": ["\udcff"]}])
def test_text_that_is_no_unicode(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match="Unicode"):
        question("ok" if settings else "\udcff", **settings)  # type: ignore[arg-type]


def test_a_picture_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        picture(tmp_path / "没有.png")
    assert caught.value.filename == str(tmp_path / "没有.png")


def test_a_file_larger_than_any_message_is_refused_unread(tmp_path: Path) -> None:
    """A film given by mistake must not go through memory before it is refused."""
    film = tmp_path / "film.mp4"
    with film.open("wb") as file:
        os.truncate(file.fileno(), 2**40)  # sparse: reading it would end in MemoryError
    with pytest.raises(InputError, match=r"film\.mp4.*too large"):
        picture(film)
    with pytest.raises(InputError, match="too large"):
        picture(bytes(MESSAGE_BYTES + 1))
