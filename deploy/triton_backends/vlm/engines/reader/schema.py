"""JSON Schema to a grammar (llama.cpp's GBNF) whose strings and numbers are bound to what the sources say.

llama.cpp can follow a schema by itself, but then a required `amount` is filled with any number.  Here a number can only
be one of the sources' numbers, and a digit in a string only part of one of them.

Followed: type (also a list of types), properties, required, items, minItems, maxItems, enum, const, anyOf, oneOf, $ref
within the schema, minimum, maximum, exclusiveMinimum, exclusiveMaximum, pattern.  Words that only describe are skipped;
any other keyword is refused by name, because an answer that silently breaks it would be worse.  Properties that the
schema does not name are never written.  A number that the sources do not have comes out as null.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from engines.base import ContractError
from engines.reader.claims import Grounds
from engines.reader.grammar import number_literals, text_rules

_DESCRIBE = frozenset(
    {
        *("$schema", "$id", "$comment", "$defs", "definitions", "title", "description"),
        *("default", "examples", "format", "additionalProperties", "deprecated", "readOnly"),
    }
)
_FOLLOWED = frozenset(
    {
        *("type", "properties", "required", "items", "minItems", "maxItems", "enum", "const"),
        *("anyOf", "oneOf", "$ref", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
        "pattern",
    }
)
_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_DEEPEST = 16
_MOST_RULES = 500


def schema_grammar(schema: Mapping[str, Any], grounds: Grounds, rows: Sequence[str]) -> str:
    """The grammar; ContractError(bad_schema) for what cannot be followed.  `rows` are what a pattern chooses from."""
    return _Writer(schema, grounds, rows).grammar()


def schema_words(schema: Any) -> Iterator[str]:
    """The caller's own words in a schema: names, enums, constants.  Digits in them need no page."""
    if isinstance(schema, Mapping):
        for name, value in schema.items():
            if name == "properties" and isinstance(value, Mapping):
                yield from map(str, value)
            if name == "enum" and isinstance(value, list):
                yield from map(str, value)
            if name == "const":
                yield str(value)
            yield from schema_words(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from schema_words(value)


class _Writer:
    def __init__(self, schema: Mapping[str, Any], grounds: Grounds, rows: Sequence[str]) -> None:
        self._root = schema
        self._rules: dict[str, str] = {}
        self._references: dict[str, str] = {}
        self._values = _row_values(rows)
        self._literals = number_literals(grounds)
        self._numbers = sorted(
            n for n in grounds.numbers if re.fullmatch(r"(0|[1-9]\d*)(\.\d+)?", n)
        )

    def grammar(self) -> str:
        root = self._any(self._root, 0)
        text = text_rules(self._literals, forbidden='"\\\\\\x7F\\x00-\\x1F')
        lines = [f"root ::= {root}", *(f"{n} ::= {body}" for n, body in self._rules.items())]
        return "\n".join([*lines, *text, f"string ::= {_quoted('string-text')}"]) + "\n"

    def _any(self, schema: Any, depth: int) -> str:
        """The expression of a schema; rules that it needs are added on the way."""
        if schema is True:
            schema = {"type": "string"}
        if not isinstance(schema, Mapping):
            raise _bad("a schema is not an object")
        if depth > _DEEPEST or len(self._rules) > _MOST_RULES:
            raise _bad("it is nested too deeply or too large")
        if unknown := sorted(set(schema) - _DESCRIBE - _FOLLOWED):
            raise _bad(f"unknown or unsupported keyword {unknown[0]!r}")
        if "$ref" in schema:
            return self._reference(schema["$ref"], depth)
        if "const" in schema:
            return _literal(schema["const"])
        if "enum" in schema:
            return _choice(_literal(value) for value in _some(schema["enum"], "enum"))
        for name in ("anyOf", "oneOf"):
            if name in schema:
                return _choice(self._any(s, depth + 1) for s in _some(schema[name], name))
        kinds = schema.get("type", "object" if "properties" in schema else "string")
        kinds = [kinds] if isinstance(kinds, str) else _some(kinds, "type")
        return _choice(self._typed(kind, schema, depth) for kind in kinds)

    def _typed(self, kind: Any, schema: Mapping[str, Any], depth: int) -> str:
        if kind not in _TYPES:
            raise _bad(f"unknown type {kind!r}")
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, depth)
        if kind == "string":
            return self._string(schema)
        if kind in ("number", "integer"):
            return self._number(schema, whole=kind == "integer")
        return '("true" | "false")' if kind == "boolean" else '"null"'

    def _object(self, schema: Mapping[str, Any], depth: int) -> str:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(properties, Mapping) or not isinstance(required, list):
            raise _bad("properties is not an object, or required not a list")
        if missing := [name for name in required if name not in properties]:
            raise _bad(f"required names {missing[0]!r}, which is no property")
        pairs = {
            name: f"{_json(json.dumps(name, ensure_ascii=False) + ': ')} {self._any(s, depth + 1)}"
            for name, s in properties.items()
        }
        must = [pairs[name] for name in properties if name in required]
        may = [pairs[name] for name in properties if name not in required]
        if must:
            body = ' ", " '.join(must) + "".join(f' (", " {pair})?' for pair in may)
        else:
            # Whichever comes first has no comma before it.
            starts = [
                pair + "".join(f' (", " {later})?' for later in may[i + 1 :])
                for i, pair in enumerate(may)
            ]
            body = f"({' | '.join(starts)})?" if starts else ""
        return self._rule(f'"{{" {body} "}}"')

    def _array(self, schema: Mapping[str, Any], depth: int) -> str:
        low, high = schema.get("minItems", 0), schema.get("maxItems")
        if not isinstance(low, int) or not isinstance(high, (int, type(None))):
            raise _bad("minItems or maxItems is no whole number")
        if high is not None and not 0 <= low <= high:
            raise _bad("maxItems is less than minItems")
        item = self._any(schema.get("items", {"type": "string"}), depth + 1)
        if high == 0:
            return '"[]"'
        most = "" if high is None else str(high - 1)
        more = f'{item} (", " {item}){{{max(0, low - 1)},{most}}}'
        return self._rule(f'"[" {more if low else f"({more})?"} "]"')

    def _string(self, schema: Mapping[str, Any]) -> str:
        if "pattern" not in schema:
            return "string"
        try:
            pattern = re.compile(schema["pattern"])
        except (re.error, TypeError) as error:
            raise _bad("a pattern is no regular expression") from error
        fitting = [v for v in [*self._values, *self._literals] if pattern.search(v)]
        # Where the page has nothing that fits, a string without digits shows that better than an invention.
        return _choice(_literal(v) for v in dict.fromkeys(fitting)) if fitting else "string"

    def _number(self, schema: Mapping[str, Any], *, whole: bool) -> str:
        found = [n for n in self._numbers if "." not in n or not whole]
        for name, fits in _BOUNDS.items():
            if name in schema:
                bound = schema[name]
                if isinstance(bound, bool) or not isinstance(bound, (int, float)):
                    raise _bad(f"{name} is no number")
                found = [n for n in found if fits(float(n), bound)]
        return _choice(_json(n) for n in found) if found else '"null"'

    def _reference(self, name: Any, depth: int) -> str:
        if not isinstance(name, str) or not name.startswith("#"):
            raise _bad("$ref leads outside of the schema")
        if name not in self._references:
            target: Any = self._root
            for part in name.lstrip("#/").split("/") if name != "#" else ():
                if not isinstance(target, Mapping) or part not in target:
                    raise _bad(f"$ref {name!r} leads nowhere")
                target = target[part]
            # Known before it is written: a schema may contain itself.
            rule = self._references[name] = f"ref-{len(self._references)}"
            self._rules[rule] = self._any(target, depth + 1)
        return self._references[name]

    def _rule(self, body: str) -> str:
        name = f"rule-{len(self._rules)}"
        self._rules[name] = body
        return name


_BOUNDS: dict[str, Callable[[float, float], bool]] = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
    "exclusiveMaximum": lambda value, bound: value < bound,
}


def _row_values(rows: Iterable[str]) -> list[str]:
    """What a field could be copied from: values of `key: value` rows, table cells, whole rows."""
    found: list[str] = []
    for row in rows:
        found += [row.partition(": ")[2], *row.split(" | "), row]
    return [v for v in dict.fromkeys(f.strip() for f in found) if v]


def _some(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise _bad(f"{name} is no list, or an empty one")
    return value


def _choice(parts: Iterable[str]) -> str:
    return f"({' | '.join(dict.fromkeys(parts))})"


def _literal(value: Any) -> str:
    """The grammar of one JSON value."""
    return _json(json.dumps(value, ensure_ascii=False))


def _json(text: str) -> str:
    """A text as a GBNF literal; JSON's escapes are GBNF's."""
    return json.dumps(text, ensure_ascii=False)


def _quoted(rule: str) -> str:
    return f'"\\"" {rule} "\\""'


def _bad(message: str) -> ContractError:
    return ContractError("bad_schema", f"json_schema cannot be followed: {message}"[:300])
