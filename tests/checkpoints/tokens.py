"""The tokenizer of the tiny checkpoints: byte-level BPE like the Qwen family's, trained on a page of text.

Same cut into words, same special tokens in the same order behind the vocabulary; only fewer merges, so that many a
Chinese character takes two or three tokens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_MERGED = 900
_CONTROL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>"),
    *("<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>"),
    *("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
)
# Written like control tokens, but part of the text.
_PLAIN = (
    *("<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"),
    *("<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"),
)


def train(special: Sequence[str] = ()) -> Tokenizer:
    """The same tokenizer every time. special: control tokens instead of Qwen-VL's."""
    tokenizer = Tokenizer(models.BPE(fuse_unk=False, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_MERGED,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    corpus = Path(__file__).with_name("corpus.txt").read_text(encoding="utf-8")
    tokenizer.train_from_iterator(corpus.splitlines(), trainer)
    control = special or _CONTROL
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in control])
    if not special:
        tokenizer.add_tokens([AddedToken(t, normalized=False) for t in _PLAIN])
    return tokenizer


def write(
    tokenizer: Tokenizer,
    folder: Path,
    *,
    processor: str,
    template: str,
    more: Mapping[str, Any] | None = None,
) -> None:
    """tokenizer.json and what a published checkpoint has beside it. more: over the keys of tokenizer_config.json"""
    tokenizer.save(str(folder / "tokenizer.json"))
    model: Mapping[str, Any] = json.loads(tokenizer.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False))
    (folder / "merges.txt").write_text(
        "".join(f"{' '.join(merge)}\n" for merge in model["merges"]), encoding="utf-8"
    )
    added = {
        str(i): {
            **{"content": t.content, "special": t.special, "normalized": False},
            **{"lstrip": False, "rstrip": False, "single_word": False},
        }
        for i, t in sorted(tokenizer.get_added_tokens_decoder().items())
    }
    config = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": added,
        "additional_special_tokens": [t["content"] for t in added.values() if t["special"]][1:],
        "bos_token": None,
        "chat_template": template,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 131072,
        "pad_token": "<|endoftext|>",
        "processor_class": processor,
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
        **(more or {}),
    }
    (folder / "tokenizer_config.json").write_text(
        json.dumps(config, ensure_ascii=False, indent=1), encoding="utf-8"
    )
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": template}))


def token_bytes(tokenizer: Tokenizer) -> dict[int, bytes]:
    """What each token of the vocabulary stands for; added tokens are left out."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = {chr(b): b for b in printable}
    letters |= {chr(256 + n): b for n, b in enumerate(b for b in range(256) if b not in printable)}
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    return {i: bytes(letters[c] for c in token) for token, i in vocabulary.items()}
