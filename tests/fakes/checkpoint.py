"""The files of a checkpoint small enough for a test: configuration, tokenizer, two shards and their index."""

from __future__ import annotations

import json
import struct
from typing import Any

from tests.fakes.model import PLACEHOLDER, byte_tokenizer


def shard(name: str, size: int = 4000) -> bytes:
    """A safetensors file with one tensor of `size` bytes."""
    header = {name: {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + (bytes(range(251)) * (size // 251 + 1))[:size]


def checkpoint(*, shard_bytes: int = 4000, **configuration: Any) -> dict[str, bytes]:
    """Name to bytes; `configuration` changes config.json."""
    config = {"architectures": ["TinyForTests"], "model_type": "tiny", **configuration}
    shards = {f"model-0000{n}-of-00002.safetensors": shard(f"w{n}", shard_bytes) for n in (1, 2)}
    index = {"weight_map": {f"w{n}": name for n, name in enumerate(shards, 1)}}
    return {
        "config.json": json.dumps(config).encode(),
        "model.safetensors.index.json": json.dumps(index).encode(),
        "tokenizer.json": byte_tokenizer().to_str().encode(),
        "onnx/model.onnx": b"not wanted",
        **shards,
    }


def hub_card(**changes: Any) -> dict[str, Any]:
    """A card whose weights are `checkpoint()` in the repository of `tests.fakes.hub`."""
    weights = {
        "kind": "hub",
        "repo": "maker/tiny",
        "revision": "0123456789abcdef0123456789abcdef01234567",
        "architectures": ["TinyForTests"],
        "model_type": "tiny",
        "include": ["*.json", "*.safetensors"],
        "remote_code": False,
        "gated": False,
    }
    return {
        "name": "tiny",
        "engine": "vllm",
        "engines": ["vllm"],
        "licence": "MIT",
        "tokenizer": "tokenizer.json",
        "tokenizer_source": {"kind": "weights"},
        "context_tokens": 512,
        "max_pictures": 2,
        "picture": {"placeholder": PLACEHOLDER, "placeholder_id": 256},
        **changes,
        "weights": {**weights, **changes.get("weights", {})},
    }
