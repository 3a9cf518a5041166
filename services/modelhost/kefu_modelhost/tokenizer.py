"""A model's tokenizer, made from its weights' own metadata.

    export_tokenizer(Path("model.gguf"), Path("tokenizer.json"))

Gateway and engine must cut text into the same tokens.  The GGUF file carries vocabulary and merges, so the
`tokenizer.json` that the gateway reads is built from the very file that the engine loads, and cannot differ from it.
`tests/contract/test_tokenizer.py` holds both against each other on random text.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from kefu_modelhost.gguf import read_metadata

# How text is cut before byte-pair encoding, by GGUF's `tokenizer.ggml.pre`; the published expressions of each family.
_SPLITS = {
    "qwen2": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
}
_CONTROL, _USER_DEFINED = 3, 4


class TokenizerError(ValueError):
    """The weights' tokenizer is of a kind that is not known here."""


def build_tokenizer(metadata: dict[str, Any]) -> Tokenizer:
    """A byte-level BPE tokenizer from GGUF metadata; TokenizerError for other kinds."""
    kind, split = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.pre")
    if kind != "gpt2" or split not in _SPLITS:
        raise TokenizerError(f"no export for a tokenizer of kind {kind!r}, pre-tokenizer {split!r}")
    tokens: list[str] = metadata["tokenizer.ggml.tokens"]
    types: list[int] = metadata["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ", 1)) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: i for i, token in enumerate(tokens)},
            merges=merges,
            fuse_unk=False,
            byte_fallback=False,
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLITS[split]), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [
            AddedToken(t, normalized=False, special=True)
            for t, k in zip(tokens, types, strict=True)
            if k == _CONTROL
        ]
    )
    tokenizer.add_tokens(
        [
            AddedToken(t, normalized=False)
            for t, k in zip(tokens, types, strict=True)
            if k == _USER_DEFINED
        ]
    )
    return tokenizer


def build_byte_tokenizer(specials: tuple[str, ...]) -> Tokenizer:
    """The tokenizer of the echo model: ids 0-255 are bytes, `specials` follow from 256; no merges at all."""
    vocab = byte_letters()
    vocab |= {token: 256 + i for i, token in enumerate(specials)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[], fuse_unk=False))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in specials])
    return tokenizer


def byte_letters() -> dict[str, int]:
    """Byte-level BPE writes each byte as a printable letter (the table of GPT-2)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = {chr(b): b for b in printable}
    others = (b for b in range(256) if b not in printable)
    return letters | {chr(256 + n): b for n, b in enumerate(others)}


def export_tokenizer(weights: Path, target: Path) -> None:
    """Writes `tokenizer.json` beside the weights, whole or not at all."""
    save(build_tokenizer(read_metadata(weights)), target)


def save(tokenizer: Tokenizer, target: Path) -> None:
    """Writes the tokenizer, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}.part")
    tokenizer.save(str(partial), pretty=False)
    os.replace(partial, target)
