"""Weights are taken by their hash, from wherever they come."""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from kefu_common.environment import load
from kefu_modelhost.card import WeightsFile, find_card
from kefu_modelhost.errors import SetupError, WeightsError
from kefu_modelhost.gguf import GgufError, read_metadata
from kefu_modelhost.settings import Settings
from kefu_modelhost.sources import from_packages
from kefu_modelhost.weights import pull

CONTENT = b"the weights of a very small model" * 1000


def card(**changes: Any) -> dict[str, Any]:
    return {
        "name": "tiny",
        "tokenizer": "tokenizer.json",
        "tokenizer_source": {"kind": "bytes", "specials": ["<|end|>"]},
        "weights": {
            "files": [
                {
                    "name": "model.bin",
                    "sha256": hashlib.sha256(CONTENT).hexdigest(),
                    "size": len(CONTENT),
                    "sources": [],
                }
            ]
        },
        **changes,
    }


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = tmp_path / "models/tiny/1"
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(json.dumps(card()))
    return load(
        Settings,
        {
            "KEFU_MODEL_REPOSITORY": str(tmp_path / "models"),
            "KEFU_WEIGHTS_DIR": str(tmp_path / "weights"),
            "KEFU_CACHE": str(tmp_path / "cache"),
        },
    )


def test_a_path_wins_and_is_checked(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(CONTENT)
    folder = pull("tiny", settings, from_path=tmp_path / "mine")
    assert (folder / "model.bin").read_bytes() == CONTENT
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id("<|end|>") == 256


def test_wrong_weights_are_refused(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"not the weights")
    with pytest.raises(WeightsError, match="refused"):
        pull("tiny", settings, from_path=tmp_path / "other")
    assert not (tmp_path / "weights/tiny/model.bin").exists()


def test_the_cache_serves_a_fresh_clone(settings: Settings, tmp_path: Path) -> None:
    store = tmp_path / "cache/sha256"
    store.mkdir(parents=True)
    (store / hashlib.sha256(CONTENT).hexdigest()).write_bytes(CONTENT)
    folder = pull("tiny", settings)
    assert (folder / "model.bin").read_bytes() == CONTENT


def test_no_source_says_what_to_do(settings: Settings) -> None:
    with pytest.raises(WeightsError, match="KEFU_WEIGHTS_FILE"):
        pull("tiny", settings)


def test_an_unknown_model_says_where_it_was_looked_for(settings: Settings) -> None:
    with pytest.raises(SetupError, match="KEFU_MODEL_REPOSITORY"):
        find_card("nonesuch", settings.repositories)


def parts(folder: Path, *contents: bytes) -> dict[str, Any]:
    """Archives as an earlier, interrupted pull left them."""
    folder.mkdir(parents=True)
    names = []
    for number, content in enumerate(contents, 1):
        names.append(f"part-{number}")
        with zipfile.ZipFile(folder / f"part_{number}-1-py3-none-any.whl", "w") as archive:
            archive.writestr(f"part_{number}/data.bin", content)
            archive.writestr(f"part_{number}/__init__.py", "raise SystemExit")
    return {"kind": "pypi", "packages": names, "version": "1", "members": "*.bin"}


def test_parts_that_are_there_are_joined_without_a_download(
    settings: Settings, tmp_path: Path
) -> None:
    partial = tmp_path / "whole.part"
    source = parts(partial.with_suffix(".packages"), CONTENT[:700], CONTENT[700:])
    file = WeightsFile("model.bin", "", len(CONTENT), ())
    from_packages(file, source, partial, settings)
    assert partial.read_bytes() == CONTENT


def test_parts_larger_than_the_file_are_refused(settings: Settings, tmp_path: Path) -> None:
    partial = tmp_path / "whole.part"
    source = parts(partial.with_suffix(".packages"), CONTENT, b"and more")
    with pytest.raises(WeightsError, match="larger"):
        from_packages(WeightsFile("model.bin", "", len(CONTENT), ()), source, partial, settings)


def gguf(*pairs: tuple[str, int, bytes]) -> bytes:
    out = b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs))
    for name, kind, value in pairs:
        out += struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", kind) + value
    return out


def test_gguf_metadata(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    strings = struct.pack("<IQ", 8, 2) + b"".join(struct.pack("<Q", 1) + c for c in (b"a", b"b"))
    numbers = struct.pack("<IQ3i", 5, 3, 1, -2, 3)
    path.write_bytes(gguf(("n", 4, struct.pack("<I", 7)), ("s", 9, strings), ("i", 9, numbers)))
    assert read_metadata(path) == {"n": 7, "s": ["a", "b"], "i": [1, -2, 3]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GIF8",
        b"GGUF",
        gguf()[:10],
        gguf(("n", 99, b"")),
        gguf(("s", 8, struct.pack("<Q", 2**60))),
    ],
)
def test_what_is_no_gguf(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(GgufError):
        read_metadata(path)
