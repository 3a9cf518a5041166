"""Token ids to bytes, and to what a schema allows.

vocabulary = Vocabulary(Path("tokenizer.json"), size=152064, end_ids=frozenset({151645}))
vocabulary.bytes_of(1234)            # b'\\xe9\\x80'
follower = vocabulary.follow({"type": "object", …})
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import llguidance
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from engines.base import ContractError
from engines.token_bytes import TokenBytes

_SPACES = {"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": False}


class Vocabulary:
    """`size` is that of the model's last matrix, which may have rows that no token has."""

    def __init__(self, path: Path, *, size: int, end_ids: frozenset[int]) -> None:
        self._bytes = TokenBytes(path)
        if not self._bytes.byte_level:
            raise RuntimeError(
                f"{path} is no byte-level vocabulary: this engine has no bytes for its tokens"
            )
        self.size = size
        self.known = self._bytes.size
        self._tokenizer = llguidance.LLTokenizer(
            Tokenizer.from_file(str(path)).to_str(), n_vocab=size, eos_token=sorted(end_ids)
        )

    def bytes_of(self, token: int) -> bytes:
        return self._bytes.raw(token)

    def follow(self, schema: Mapping[str, Any]) -> Follower:
        """ContractError(bad_schema) for a schema that cannot be followed."""
        try:
            grammar = llguidance.LLMatcher.grammar_from_json_schema(
                json.dumps(closed(schema)), overrides=_SPACES
            )
        except ValueError as error:
            raise _bad_schema(str(error)) from error
        matcher = llguidance.LLMatcher(self._tokenizer, grammar, log_level=0)
        if matcher.is_error():
            raise _bad_schema(matcher.get_error())
        return Follower(matcher)


class Follower:
    """Where one answer stands in its schema."""

    def __init__(self, matcher: llguidance.LLMatcher) -> None:
        self._matcher = matcher

    @property
    def done(self) -> bool:
        """Nothing can follow but the end."""
        return bool(self._matcher.is_stopped())

    def allowed(self) -> NDArray[np.int32]:
        """A bit a token, lowest first, in words of 32.  ContractError when the schema turns out too complex."""
        mask = self._matcher.compute_bitmask()
        if self._matcher.is_error():
            raise _bad_schema(self._matcher.get_error())
        return np.frombuffer(mask, dtype=np.int32)

    def take(self, token: int) -> None:
        self._matcher.consume_token(token)


def closed(schema: Any) -> Any:
    """The schema with nothing in an object that it does not name, unless it says otherwise.

    JSON Schema lets objects have more properties than it names, and a model that may write them does.  Whoever asks for
    fields wants these fields.  Parts that other parts complete (`allOf`, a `$ref` beside properties) stay open.
    """
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept = ("allOf", "enum", "const", "default", "examples")
    made = {name: part if name in kept else closed(part) for name, part in schema.items()}
    completed = {
        "additionalProperties",
        "patternProperties",
        "unevaluatedProperties",
        "allOf",
        "anyOf",
        "oneOf",
        "$ref",
    }
    if isinstance(schema.get("properties"), dict):
        # Names of properties are no keywords, whatever they are.
        made["properties"] = {name: closed(part) for name, part in schema["properties"].items()}
        if not completed & set(schema):
            made["additionalProperties"] = False
    return made


def _bad_schema(words: str) -> ContractError:
    # The library's first line says what; the rest is its own state.
    first = words.strip().splitlines()[0] if words.strip() else "no reason given"
    return ContractError("bad_schema", f"json_schema cannot be followed: {first}"[:300])
