"""Writes a tiny checkpoint, in an environment that has transformers and torch.

    python -m tests.checkpoints.build NAME FOLDER [--code FOLDER]

`--code` is a folder with the publisher's own files, for a checkpoint that brings code along; without it, ours.

The weights are random (same seed, same bytes), but not all of them: random tokens would be bytes that make no text.
Three of the hidden dimensions carry what may follow, past all layers, and the last matrix reads it:

    after the first two bytes of a Chinese character   its third byte, one of 64
    after "。"                                          a new beginning, or the end of the answer
    after anything else                                whole words, whole characters, the first two bytes of one

Which of them it is, the layers decide, and so the whole prompt with its pictures. An answer is nonsense in whole
characters, many of which arrive in two tokens; it rarely ends by itself.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file  # type: ignore[import-not-found, unused-ignore]
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText

from tests.checkpoints import minicpm, tokens
from tests.checkpoints.architectures import ARCHITECTURES, VIDEOS

_HALF, _OPEN, _FULL_STOP = 0, 1, 2  # the three dimensions
_CARRIED = 12.0  # what a token writes into its one: far above what the layers write into all others
_ALLOWED = 6.0  # times about 7 after the last norm: what is not allowed loses by 40 nats
_SEED = 20180401


def build(name: str, folder: Path, code: Path | None = None) -> None:
    """The whole checkpoint, in a folder that exists."""
    architecture = ARCHITECTURES[name]
    tokenizer = tokens.train(architecture.special)
    # Published vocabularies are padded as well: the model has rows that no token has.
    vocabulary = -(-tokenizer.get_vocab_size() // 128) * 128
    config = architecture.config(tokenizer, vocabulary)
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    torch.manual_seed(_SEED)
    if architecture.code:
        model = minicpm.model(config)
    else:
        model = AutoModelForImageTextToText.from_config(
            AutoConfig.from_pretrained(folder), dtype=torch.float32
        )
    with torch.no_grad():
        _make_random(model)
        _make_text(model, tokenizer)
    model.to(torch.bfloat16)
    if architecture.code:
        save_file(model.state_dict(), folder / "model.safetensors", {"format": "pt"})
        _bring(code or Path(__file__).parent / architecture.code, folder)
    else:
        model.save_pretrained(folder)
    # As published, not as this version of the library would write it.
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    (folder / "preprocessor_config.json").write_text(json.dumps(architecture.pictures, indent=1))
    if name == "tiny_qwen3_vl":
        (folder / "video_preprocessor_config.json").write_text(
            json.dumps(VIDEOS["qwen3"], indent=1)
        )
    end, pad = (tokenizer.token_to_id(t) for t in ("<|im_end|>", "<|endoftext|>"))
    (folder / "generation_config.json").write_text(
        json.dumps(
            {
                "bos_token_id": pad,
                "pad_token_id": pad,
                "eos_token_id": [end, pad],
                "do_sample": True,
                "temperature": 0.7,
                "top_p": 0.8,
                "top_k": 20,
            },
            indent=1,
        )
    )
    template = _template(architecture.real)
    tokens.write(
        tokenizer,
        folder,
        processor=architecture.processor,
        template=template,
        more=architecture.tokenizer,
    )


def _bring(code: Path, folder: Path) -> None:
    """Copies a checkpoint's code, with a manifest that names it as `kefu-models pull` would: by 40 digits."""
    digest = hashlib.sha1(usedforsecurity=False)
    for file in sorted(code.glob("*.py")):
        shutil.copyfile(file, folder / file.name)
        digest.update(file.read_bytes())
    manifest = {"model": "", "repo": "", "revision": digest.hexdigest(), "files": {}}
    (folder / "kefu-weights.json").write_text(json.dumps(manifest))


def _template(model: str) -> str:
    """The chat template of the real model's directory, our own wording."""
    models = Path(__file__).resolve().parents[2] / "deploy/triton_models"
    return (models / model / "1/chat_template.jinja").read_text(encoding="utf-8")


def _make_random(model: nn.Module) -> None:
    for name, weight in model.named_parameters():
        if weight.ndim < 2:
            weight.fill_(0.0 if name.endswith("bias") else 1.0)
        elif ".q_proj." in name or ".k_proj." in name:
            weight.normal_(0, 0.25)  # looks at some tokens more than at others
        elif _sees(name):
            weight.normal_(0, weight[0].numel() ** -0.5)
        else:
            weight.normal_(0, 0.09)


def _sees(name: str) -> bool:
    """Whether a parameter is the vision tower's, or of what stands between it and the language model."""
    return "visual" in name or name.startswith(("vpm.", "resampler."))


def _make_text(model: Any, tokenizer: Tokenizer) -> None:
    known = tokens.token_bytes(tokenizer)
    halves = [i for i, b in known.items() if len(b) == 2 and 0xE4 <= b[0] <= 0xE9]
    thirds = [i for i, b in known.items() if len(b) == 1 and 0x80 <= b[0] <= 0xBF]
    words = [i for i, b in known.items() if _is_text(b)]
    stop = tokenizer.token_to_id("ãĢĤ")  # "。" in the letters of byte-level BPE

    embeddings = model.get_input_embeddings().weight
    embeddings.normal_(0, 1.0)
    embeddings[:, : _FULL_STOP + 1] = 0
    embeddings[:, _OPEN] = _CARRIED
    embeddings[halves, _OPEN], embeddings[halves, _HALF] = 0, _CARRIED
    embeddings[stop, _FULL_STOP] = _CARRIED / 2
    for name, weight in model.named_parameters():
        if not _sees(name) and name.endswith(("o_proj.weight", "down_proj.weight")):
            weight[: _FULL_STOP + 1] = 0

    head = model.get_output_embeddings().weight
    head.normal_(0, 0.2)
    head[:, : _FULL_STOP + 1] = 0
    head[thirds, _HALF] = _ALLOWED
    head[words, _OPEN] = _ALLOWED
    head[halves, _OPEN] = _ALLOWED + 0.3
    head[tokenizer.token_to_id("<|im_end|>"), _OPEN] = _ALLOWED - 1.5
    head[tokenizer.token_to_id("<|im_end|>"), _FULL_STOP] = 4.0
    head[stop, _OPEN] = _ALLOWED + 0.4


def _is_text(value: bytes) -> bool:
    try:
        return value.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("name", choices=sorted(ARCHITECTURES))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--code", type=Path)
    options = parser.parse_args()
    build(options.name, options.folder, options.code)
