"""A Qwen2.5-VL with random weights in the size that a benchmark asks for; runs in an environment with torch.

    python -m bench.common_checkpoint FOLDER SIZE

The recipe is that of the tests' tiny checkpoints (tests/checkpoints): published layout, answers in whole characters.
Here they never end by themselves, so that every arm of a benchmark writes the same number of tokens.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

# Hidden, layers, heads, KV heads, inner; then the vision tower's hidden, layers, heads, inner. A step of `steps_of_ms`
# takes one thread of a CPU about as long as a step of a real model takes a GPU; `few_billion` has the sizes of the
# published 3B model.
SIZES: dict[str, tuple[int, ...]] = {
    "tiny": (128, 2, 4, 2, 256, 64, 2, 2, 128),
    "steps_of_ms": (512, 8, 8, 4, 1536, 128, 2, 2, 256),
    "few_billion": (2048, 36, 16, 2, 11008, 1280, 32, 16, 3420),
}


def config(size: str, base: dict[str, Any]) -> dict[str, Any]:
    hidden, layers, heads, kv_heads, inner, v_hidden, v_layers, v_heads, v_inner = SIZES[size]
    third = hidden // heads // 2 // 8
    return {
        **base,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "max_window_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": inner,
        "rope_scaling": {"type": "mrope", "mrope_section": [2 * third, 3 * third, 3 * third]},
        "vision_config": {
            **base["vision_config"],
            "hidden_size": v_hidden,
            "depth": v_layers,
            "num_heads": v_heads,
            "intermediate_size": v_inner,
            "out_hidden_size": hidden,
            "fullatt_block_indexes": [v_layers - 1],
        },
    }


def write(folder: Path, size: str) -> int:
    """The whole checkpoint; its number of parameters."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    from tests.checkpoints import build, tokens
    from tests.checkpoints.architectures import ARCHITECTURES

    architecture = ARCHITECTURES["tiny_qwen2_5_vl"]
    folder.mkdir(parents=True, exist_ok=True)
    build.build(architecture.name, folder)
    tokenizer = tokens.train()
    vocabulary = -(-tokenizer.get_vocab_size() // 128) * 128
    made = config(size, architecture.config(tokenizer, vocabulary))
    (folder / "config.json").write_text(json.dumps(made, indent=1))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(20180401)
    with torch.device(device):
        model = AutoModelForImageTextToText.from_config(
            AutoConfig.from_pretrained(folder), dtype=torch.bfloat16
        )
    with torch.no_grad():
        build._make_random(model)
        build._make_text(model, tokenizer)
        # No answer ends by itself: these are far below whatever else may follow.
        for end in ("<|im_end|>", "<|endoftext|>"):
            row = model.get_output_embeddings().weight[tokenizer.token_to_id(end)]
            row.zero_()
            row[: build._FULL_STOP + 1] = -build._ALLOWED
    for old in folder.glob("*.safetensors"):
        old.unlink()
    model.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(made, indent=1))
    return sum(p.numel() for p in model.parameters())


if __name__ == "__main__":
    # transformers needs torchvision where it finds it, and that needs this on a CPU.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "deploy/triton_backends/vlm"))
    from engines.vllm.torchvision_ops import declare_if_missing

    declare_if_missing()
    print(write(Path(sys.argv[1]), sys.argv[2]))
