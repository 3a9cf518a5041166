"""The metadata of a GGUF file.

>>> metadata = read_metadata(Path("model.gguf"))
>>> metadata["general.architecture"]
'qwen2'

Reads the header alone, in one pass, and nothing of the tensors behind it.  The format: magic, version, number of
tensors, number of pairs, then the pairs (name, type, value); all little-endian (ggml's docs/gguf.md, versions 2 and 3).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
# GGUF's value types as struct formats.
_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
# No header of a real model comes near; a damaged one must not make us allocate at will.
_MOST_PAIRS = 100_000
_MOST_ITEMS = 10_000_000
_LONGEST_STRING = 64 << 20


class GgufError(ValueError):
    """The file is no GGUF file, or its header is damaged."""


def read_metadata(path: Path) -> dict[str, Any]:
    """Name to value (numbers, strings, lists); GgufError for what is no GGUF file of version 2 or 3."""
    with path.open("rb") as file:
        if file.read(4) != _MAGIC:
            raise GgufError(f"{path} is no GGUF file")
        version = _number(file, "<I")
        if version not in _VERSIONS:
            raise GgufError(f"{path} is GGUF of version {version}; versions 2 and 3 are known")
        _number(file, "<Q")
        pairs = _bounded(_number(file, "<Q"), _MOST_PAIRS)
        return {_string(file): _value(file, _number(file, "<I")) for _ in range(pairs)}


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(file)
    if kind == _ARRAY:
        item = _number(file, "<I")
        count = _bounded(_number(file, "<Q"), _MOST_ITEMS)
        if item in _SCALARS:
            size = struct.calcsize(_SCALARS[item])
            data = _exactly(file, size * count)
            return [value for (value,) in struct.iter_unpack(_SCALARS[item], data)]
        return [_value(file, item) for _ in range(count)]
    if kind not in _SCALARS:
        raise GgufError(f"unknown value type {kind}")
    return _number(file, _SCALARS[kind])


def _number(file: BinaryIO, form: str) -> Any:
    return struct.unpack(form, _exactly(file, struct.calcsize(form)))[0]


def _string(file: BinaryIO) -> str:
    size = _bounded(_number(file, "<Q"), _LONGEST_STRING)
    return _exactly(file, size).decode("utf-8", errors="surrogateescape")


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise GgufError("the header ends early")
    return data


def _bounded(value: int, most: int) -> int:
    if value > most:
        raise GgufError("the header is damaged: a length is beyond reason")
    return value
