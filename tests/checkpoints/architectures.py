"""The configurations: every key of the published checkpoints' files, with small numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenizers import Tokenizer

from tests.checkpoints import minicpm

_HIDDEN, _HEADS, _KV_HEADS, _HEAD = 128, 4, 2, 32
_CLIP_MEAN, _CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


@dataclass(frozen=True, slots=True)
class Architecture:
    """name:      of the checkpoint
    real:      the model directory that it stands for
    processor: class of the published processor
    config:    config.json, from the tokenizer and the size of its vocabulary
    pictures:  preprocessor_config.json
    engines:   that can serve it
    code:      folder beside this file with the code that the checkpoint brings along; "" where transformers has it
    special:   the tokens behind the vocabulary; () for those of Qwen-VL
    tokenizer: what tokenizer_config.json has beyond, or instead of, Qwen-VL's
    """

    name: str
    real: str
    processor: str
    config: Callable[[Tokenizer, int], dict[str, Any]]
    pictures: Mapping[str, Any]
    engines: tuple[str, ...] = ("transformers", "vllm")
    code: str = ""
    special: tuple[str, ...] = ()
    tokenizer: Mapping[str, Any] = field(default_factory=dict)


def _marks(tokenizer: Tokenizer) -> dict[str, Any]:
    return {
        "image_token_id": tokenizer.token_to_id("<|image_pad|>"),
        "video_token_id": tokenizer.token_to_id("<|video_pad|>"),
        "vision_start_token_id": tokenizer.token_to_id("<|vision_start|>"),
        "vision_end_token_id": tokenizer.token_to_id("<|vision_end|>"),
    }


def _text(tokenizer: Tokenizer, vocabulary: int, layers: int) -> dict[str, Any]:
    return {
        "attention_dropout": 0.0,
        "bos_token_id": tokenizer.token_to_id("<|endoftext|>"),
        "eos_token_id": tokenizer.token_to_id("<|im_end|>"),
        "hidden_act": "silu",
        "hidden_size": _HIDDEN,
        "initializer_range": 0.02,
        "intermediate_size": 256,
        "max_position_embeddings": 32768,
        "num_attention_heads": _HEADS,
        "num_hidden_layers": layers,
        "num_key_value_heads": _KV_HEADS,
        "rms_norm_eps": 1e-06,
        "use_cache": True,
        "vocab_size": vocabulary,
    }


def _qwen2_5_vl(tokenizer: Tokenizer, vocabulary: int) -> dict[str, Any]:
    # Published flat, with the text's keys at the top.
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        **_text(tokenizer, vocabulary, layers=2),
        **_marks(tokenizer),
        "vision_token_id": tokenizer.token_to_id("<|vision_pad|>"),
        "max_window_layers": 2,
        "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]},
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_sliding_window": False,
        "vision_config": {
            "depth": 2,
            "fullatt_block_indexes": [1],
            "hidden_act": "silu",
            "hidden_size": 64,
            "in_chans": 3,
            "intermediate_size": 128,
            "num_heads": 2,
            "out_hidden_size": _HIDDEN,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "spatial_patch_size": 14,
            "temporal_patch_size": 2,
            "tokens_per_second": 2,
            "window_size": 112,
        },
    }


def _qwen3_vl(tokenizer: Tokenizer, vocabulary: int) -> dict[str, Any]:
    return {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": "qwen3_vl",
        **_marks(tokenizer),
        "text_config": {
            **_text(tokenizer, vocabulary, layers=3),
            "attention_bias": False,
            "dtype": "bfloat16",
            "head_dim": _HEAD,
            "model_type": "qwen3_vl_text",
            "rope_scaling": {
                "mrope_interleaved": True,
                "mrope_section": [6, 5, 5],
                "rope_type": "default",
            },
            "rope_theta": 5000000,
            "tie_word_embeddings": False,
        },
        "tie_word_embeddings": False,
        "vision_config": {
            "deepstack_visual_indexes": [0, 1],
            "depth": 3,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": 64,
            "in_channels": 3,
            "initializer_range": 0.02,
            "intermediate_size": 128,
            "model_type": "qwen3_vl",
            "num_heads": 2,
            "num_position_embeddings": 2304,
            "out_hidden_size": _HIDDEN,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
    }


def _minicpm_v_2_6(tokenizer: Tokenizer, vocabulary: int) -> dict[str, Any]:
    return minicpm.configuration(tokenizer, _text(tokenizer, vocabulary, layers=2))


ARCHITECTURES = {
    a.name: a
    for a in (
        Architecture(
            name="tiny_qwen2_5_vl",
            real="qwen2_5_vl_7b",
            processor="Qwen2_5_VLProcessor",
            config=_qwen2_5_vl,
            pictures={
                "min_pixels": 3136,
                "max_pixels": 12845056,
                "patch_size": 14,
                "temporal_patch_size": 2,
                "merge_size": 2,
                "image_mean": _CLIP_MEAN,
                "image_std": _CLIP_STD,
                "image_processor_type": "Qwen2VLImageProcessor",
                "processor_class": "Qwen2_5_VLProcessor",
            },
        ),
        Architecture(
            name="tiny_qwen3_vl",
            real="qwen3_vl_4b",
            processor="Qwen3VLProcessor",
            config=_qwen3_vl,
            pictures={
                "size": {"longest_edge": 16777216, "shortest_edge": 65536},
                "patch_size": 16,
                "temporal_patch_size": 2,
                "merge_size": 2,
                "image_mean": [0.5, 0.5, 0.5],
                "image_std": [0.5, 0.5, 0.5],
                "image_processor_type": "Qwen2VLImageProcessorFast",
                "processor_class": "Qwen3VLProcessor",
            },
        ),
        Architecture(
            name="tiny_minicpm_v_2_6",
            real="minicpm_v_2_6",
            processor="MiniCPMVProcessor",
            config=_minicpm_v_2_6,
            pictures=minicpm.PICTURES,
            engines=("vllm",),
            code="remote/minicpm_v_2_6",
            special=minicpm.SPECIAL,
            tokenizer=minicpm.TOKENIZER,
        ),
    )
}


def served_by(engine: str) -> tuple[str, ...]:
    """The checkpoints that an engine can serve."""
    return tuple(a.name for a in ARCHITECTURES.values() if engine in a.engines)


# Published beside the picture's; nothing of ours reads videos, but a processor of these models has a part for them.
VIDEOS = {
    "qwen3": {
        "size": {"longest_edge": 25165824, "shortest_edge": 4096},
        "patch_size": 16,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "processor_class": "Qwen3VLProcessor",
        "video_processor_type": "Qwen3VLVideoProcessor",
    }
}
