"""MiniCPM-V 2.6: a checkpoint whose configuration, processors and tokenizer are code of its own, beside the weights.

The layout is the published one, and so are the names of the files that `auto_map` names. Whose code they hold is the
caller's choice: `remote/minicpm_v_2_6` is ours, written from the interface that vLLM's `models/minicpmv.py` and
`processors/minicpmv.py` use; a folder with openbmb's own files is taken just as well:

    python -m tests.checkpoints.build tiny_minicpm_v_2_6 FOLDER --code WEIGHTS/minicpm_v_2_6

Facts: arXiv:2408.01800; the shapes of the modules that vLLM loads.
"""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer

QUERIES, SIDE, PATCH, MOST_SLICES = 64, 448, 14, 9
# The published resampler has one head for each 128 dimensions.
HIDDEN, VISION_HIDDEN, VISION_SIDE = 128, 64, 980

# Behind Qwen2's three, in the order of their ids; six reserved ones make it 151,666 in the published vocabulary.
SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "</image>", "<ref>", "</ref>"),
    *("<box>", "</box>", "<quad>", "</quad>", "<point>", "</point>", "<slice>", "</slice>"),
    *("<image_id>", "</image_id>", *(f"<|reserved_special_token_{n}|>" for n in range(6))),
    "<unk>",
)
_PROCESSORS = {
    "AutoProcessor": "processing_minicpmv.MiniCPMVProcessor",
    "AutoImageProcessor": "image_processing_minicpmv.MiniCPMVImageProcessor",
}
TOKENIZER = {
    "auto_map": {"AutoTokenizer": ["tokenization_minicpmv_fast.MiniCPMVTokenizerFast", None]},
    "bos_token": "<|im_start|>",
    "tokenizer_class": "MiniCPMVTokenizerFast",
    "unk_token": "<unk>",
}
PICTURES: dict[str, Any] = {
    "image_processor_type": "MiniCPMVImageProcessor",
    "auto_map": _PROCESSORS,
    "processor_class": "MiniCPMVProcessor",
    "max_slice_nums": MOST_SLICES,
    "scale_resolution": SIDE,
    "patch_size": PATCH,
    "use_image_id": True,
    "image_feature_size": QUERIES,
    "im_start": "<image>",
    "im_end": "</image>",
    "slice_start": "<slice>",
    "slice_end": "</slice>",
    "unk": "<unk>",
    "im_id_start": "<image_id>",
    "im_id_end": "</image_id>",
    "slice_mode": True,
    "norm_mean": [0.5, 0.5, 0.5],
    "norm_std": [0.5, 0.5, 0.5],
    "version": 2.6,
}


def configuration(tokenizer: Tokenizer, text: dict[str, Any]) -> dict[str, Any]:
    """config.json; text: the keys of its Qwen2."""
    return {
        "architectures": ["MiniCPMV"],
        "auto_map": {
            "AutoConfig": "configuration_minicpm.MiniCPMVConfig",
            "AutoModel": "modeling_minicpmv.MiniCPMV",
            "AutoModelForCausalLM": "modeling_minicpmv.MiniCPMV",
        },
        "model_type": "minicpmv",
        "version": 2.6,
        **text,
        "bos_token_id": tokenizer.token_to_id("<|endoftext|>"),
        "max_window_layers": 2,
        "rope_theta": 1000000.0,
        "sliding_window": 131072,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_sliding_window": False,
        "batch_vision_input": True,
        "drop_vision_last_layer": False,
        "image_size": SIDE,
        "query_num": QUERIES,
        "slice_config": {
            "max_slice_nums": MOST_SLICES,
            "patch_size": PATCH,
            "model_type": "minicpmv",
        },
        "slice_mode": True,
        "use_image_id": True,
        "vision_config": {
            "hidden_size": VISION_HIDDEN,
            "image_size": VISION_SIDE,
            "intermediate_size": 128,
            "model_type": "siglip",
            "num_attention_heads": 2,
            "num_hidden_layers": 2,
            "patch_size": PATCH,
        },
    }


def model(config: dict[str, Any]) -> Any:
    """A torch module with the published names and shapes: `llm`, `vpm`, `resampler`. It cannot be called: the engine
    has the forward pass."""
    import torch
    from torch import nn
    from transformers import Qwen2Config, Qwen2ForCausalLM, SiglipVisionConfig, SiglipVisionModel

    class Resampler(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.query = nn.Parameter(torch.zeros(QUERIES, HIDDEN))
            self.kv_proj = nn.Linear(VISION_HIDDEN, HIDDEN, bias=False)
            self.attn = nn.MultiheadAttention(HIDDEN, HIDDEN // 128)
            self.ln_q, self.ln_kv, self.ln_post = (nn.LayerNorm(HIDDEN) for _ in range(3))
            self.proj = nn.Parameter(torch.zeros(HIDDEN, HIDDEN))

    class Whole(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            text = {k: v for k, v in config.items() if k not in ("model_type", "auto_map")}
            self.llm = Qwen2ForCausalLM(Qwen2Config(**text))
            vision = SiglipVisionConfig(**config["vision_config"], vision_use_head=False)
            tower = SiglipVisionModel(vision)
            self.vpm = getattr(tower, "vision_model", tower)
            self.resampler = Resampler()

        def get_input_embeddings(self) -> Any:
            return self.llm.get_input_embeddings()

        def get_output_embeddings(self) -> Any:
            return self.llm.get_output_embeddings()

    return Whole().float()
