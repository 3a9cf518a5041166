"""The JSON of the tensor `sampling`, and schemas as grammars."""

from __future__ import annotations

import json

import pytest
from engines.base import ContractError
from engines.reader.claims import Grounds
from engines.reader.schema import schema_grammar
from sampling import parse_sampling

ROWS = ["Invoice No.: INV-2025-00417", "Total due: £115.87", "Qty: 2"]


def test_what_is_left_out_has_its_default() -> None:
    found = parse_sampling(b"", 1000)
    assert (found.max_tokens, found.temperature, found.top_p, found.seed) == (256, 0.25, 1.0, None)
    assert parse_sampling(b'{"stop": "x", "max_tokens": 3.0, "seed": null}', 100).stop == ("x",)
    assert (found.top_k, found.min_p) == (0, 0.0)
    assert (found.repetition_penalty, found.presence_penalty) == (1.0, 0.0)
    assert found.cache_scope == ""
    assert parse_sampling(b'{"cache_scope": "a1"}', 100).cache_scope == "a1"


def test_what_a_publisher_recommends_is_taken() -> None:
    found = parse_sampling(
        b'{"top_k": 20, "min_p": 0.05, "repetition_penalty": 1.05, "presence_penalty": 1.5}', 100
    )
    assert (found.top_k, found.min_p) == (20, 0.05)
    assert (found.repetition_penalty, found.presence_penalty) == (1.05, 1.5)


@pytest.mark.parametrize(
    "raw",
    [
        b"[]",
        b"{",
        b"\xff",
        b'{"num_beams": 3}',
        b'{"top_k": -1}',
        b'{"top_k": 1.5}',
        b'{"min_p": 1.1}',
        b'{"repetition_penalty": 0}',
        b'{"presence_penalty": 3}',
        b'{"cache_scope": 7}',
        b'{"max_tokens": 101}',
        b'{"temperature": NaN}',
        b'{"stop": [1]}',
    ],
)
def test_what_is_wrong_is_refused(raw: bytes) -> None:
    with pytest.raises(ContractError, match=r"^KEFU\[bad_sampling\]: "):
        parse_sampling(raw, 100)


def grammar(schema: dict[str, object]) -> str:
    return schema_grammar(schema, Grounds(ROWS), ROWS)


def test_numbers_of_a_schema_are_those_of_the_page() -> None:
    text = grammar(
        {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}
    )
    assert '"115.87"' in text
    assert "[0-9]" not in text


def test_bounds_and_patterns_choose_among_what_is_there() -> None:
    assert '(("2"))' in grammar({"anyOf": [{"type": "number", "maximum": 5}]})
    assert "null" in grammar({"type": "integer", "minimum": 1000})
    pattern = grammar({"type": "string", "pattern": "^INV-"})
    assert json.dumps('"INV-2025-00417"') in pattern


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonesuch"},
        {"$ref": "#/nowhere"},
        {"$ref": "http://example.org/x"},
        {"type": "string", "minLength": 3},
        {"enum": []},
        {"type": "string", "pattern": "("},
        {"type": "object", "required": ["a"]},
        {"type": "array", "minItems": 3, "maxItems": 1},
    ],
)
def test_a_schema_that_cannot_be_followed_is_refused(schema: dict[str, object]) -> None:
    with pytest.raises(ContractError, match=r"^KEFU\[bad_schema\]: "):
        grammar(schema)


def test_a_schema_may_contain_itself() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    assert "ref-0 ::=" in grammar(node)
