"""Our frozen dataclasses as plain JSON values, and back, by their type hints; nothing is lost on the way.

    decode(Answer, json.loads(json.dumps(encode(answer)))) == answer

protobuf's own JSON would round floats to 32 bits and turn whole numbers of a Struct into floats; a transcript must read
back into the very same session. A field that the document lacks takes its default (an older version wrote it), and one
that the class lacks is passed over (a newer one did).
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def encode(value: Any) -> Any:
    """JSON values: objects, arrays, strings, numbers. Floats that JSON cannot hold become their names."""
    kind: Any = type(value)
    return _writer(kind)(value)


def decode(kind: type[T], document: Any) -> T:
    """The value of type `kind`. Raises ValueError naming the place where the document does not fit."""
    shape: Any = kind
    return typing.cast(T, _reader(shape)(document, ""))


@cache
def _writer(kind: Any) -> Callable[[Any], Any]:
    """How values of a type are written. Found once a type: a turn holds hundreds of values."""
    if issubclass(kind, Enum):
        return lambda value: value.value
    if issubclass(kind, float):
        return lambda value: value if math.isfinite(value) else _name_of(value)
    if issubclass(kind, (str, int, types.NoneType)):  # bool is an int
        return lambda value: value
    if issubclass(kind, Mapping):
        return lambda value: {str(key): encode(item) for key, item in value.items()}
    if issubclass(kind, Sequence):
        return lambda value: [encode(item) for item in value]
    names = _names(kind)

    return lambda value: {name: encode(getattr(value, name)) for name in names}


def _name_of(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


Reader = Callable[[Any, str], Any]


@cache
def _reader(kind: Any) -> Reader:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return _optional(_reader(inner))
    if origin is tuple and arguments[-1] is not Ellipsis:
        return _fixed_tuple([_reader(argument) for argument in arguments])
    if origin in (tuple, Sequence):
        return _tuple(_reader(arguments[0]))
    if origin is Mapping:
        return _mapping(_reader(arguments[1]))
    if kind is Any:
        return lambda document, path: document
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum(kind)
    return _plain(kind)


def _plain(kind: type) -> Reader:
    def read(document: Any, path: str) -> Any:
        if kind is float:
            if isinstance(document, str) and document in _NOT_FINITE:
                return _NOT_FINITE[document]
            if isinstance(document, int) and not isinstance(document, bool):
                return float(document)
        if type(document) is not kind:
            raise ValueError(f"{path or 'the document'} is not of type {kind.__name__}")
        return document

    return read


def _enum(kind: type[Enum]) -> Reader:
    def read(document: Any, path: str) -> Any:
        try:
            return kind(document)
        except ValueError:
            raise ValueError(f"{path} has an unknown value") from None

    return read


def _optional(inner: Reader) -> Reader:
    return lambda document, path: None if document is None else inner(document, path)


def _tuple(inner: Reader) -> Reader:
    def read(document: Any, path: str) -> Any:
        if not isinstance(document, list):
            raise ValueError(f"{path} is not an array")
        return tuple(inner(item, f"{path}[{i}]") for i, item in enumerate(document))

    return read


def _fixed_tuple(readers: Sequence[Reader]) -> Reader:
    def read(document: Any, path: str) -> Any:
        if not isinstance(document, list) or len(document) != len(readers):
            raise ValueError(f"{path} is not an array of {len(readers)}")
        return tuple(
            reader(item, f"{path}[{i}]")
            for i, (reader, item) in enumerate(zip(readers, document, strict=True))
        )

    return read


def _mapping(inner: Reader) -> Reader:
    def read(document: Any, path: str) -> Any:
        if not isinstance(document, dict):
            raise ValueError(f"{path} is not an object")
        return {key: inner(item, f"{path}.{key}") for key, item in document.items()}

    return read


def _dataclass(kind: Any) -> Reader:
    hints = typing.get_type_hints(kind)
    readers = {name: _reader(hints[name]) for name in _names(kind)}
    required = {
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }

    def read(document: Any, path: str) -> Any:
        if not isinstance(document, dict):
            raise ValueError(f"{path or 'the document'} is not an object")
        for name in required - document.keys():
            raise ValueError(f"{path}.{name} is missing")
        return kind(
            **{
                name: reader(document[name], f"{path}.{name}")
                for name, reader in readers.items()
                if name in document
            }
        )

    return read
