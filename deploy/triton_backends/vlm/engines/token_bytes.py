"""What each token stands for, in bytes: a character of several tokens is whole only in bytes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class TokenBytes:
    """Of a `tokenizer.json`. ValueError where its tokens are neither byte-level nor SentencePiece's."""

    def __init__(self, path: Path) -> None:
        tokenizer = Tokenizer.from_file(str(path))
        raw = json.loads(path.read_text(encoding="utf-8"))
        kinds = {d["type"] for d in _parts(raw.get("decoder") or {})}
        self.byte_level = "ByteLevel" in kinds
        if self.byte_level:
            letters = _letters()
            plain = {
                i: bytes(letters[c] for c in token)
                for token, i in tokenizer.get_vocab(with_added_tokens=False).items()
            }
        elif "ByteFallback" in kinds:
            plain = {
                i: bytes([int(found[1], 16)])
                if (found := _BYTE.fullmatch(token))
                else token.replace("▁", " ").encode()
                for token, i in tokenizer.get_vocab(with_added_tokens=False).items()
            }
        else:
            raise ValueError(f"{path}: tokens that are decoded by {sorted(kinds)} are not known")
        for i, token in tokenizer.get_added_tokens_decoder().items():
            plain[i] = b"" if token.special else token.content.encode()
        self.size = max(plain) + 1
        self._raw = [plain.get(i, b"") for i in range(self.size)]

    def raw(self, token_id: int) -> bytes:
        """Its bytes; none for a control token, or for one that only pads the model's matrix."""
        return self._raw[token_id] if token_id < self.size else b""


def _parts(decoder: dict[str, Any]) -> list[dict[str, Any]]:
    if decoder.get("type") == "Sequence":
        return [part for d in decoder["decoders"] for part in _parts(d)]
    return [decoder] if decoder else []


def _letters() -> dict[str, int]:
    """The letters in which byte-level BPE writes bytes (GPT-2's table): printable ones as they are, the others from
    U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(others)}
