"""Weights to a model on its device, and every reason why that cannot be, in words for the operator."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Weights are on this machine, and nothing here may ask a hub for anything: set before the library is imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import torch
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText

from engines.base import Card
from engines.remote_code import NotPinned, remote_code
from engines.transformers.settings import TransformersSettings


class LoadError(RuntimeError):
    """The model cannot be loaded; the text says what to change."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in evaluation mode; `processor` prepares its pictures; `end_ids` end an answer."""

    model: Any
    config: Any
    processor: Any
    device: torch.device
    end_ids: frozenset[int]


def load(
    card: Card, weights: Path, settings: TransformersSettings, device_id: int | None
) -> Loaded:
    """LoadError names the setting, the file or the package at fault."""
    for name in ("config.json", "preprocessor_config.json", card.raw["tokenizer"]):
        if not (weights / name).is_file():
            raise LoadError(
                f"{weights / name} is missing: run `python -m kefu_modelhost pull {card.name}`,"
                " or set KEFU_WEIGHTS_DIR to the folder that has the model's folder"
            )
    try:
        code = remote_code(card, weights)
    except NotPinned as error:
        raise LoadError(str(error)) from error
    device = _device(settings, device_id)
    dtype = _dtype(settings, device)
    try:
        config = AutoConfig.from_pretrained(weights, trust_remote_code=code)
        processor = AutoImageProcessor.from_pretrained(weights, trust_remote_code=code)
        attention = _attention(settings, device)
        if config.model_type == "magma":
            from engines.transformers.magma import load_magma

            model: Any = load_magma(weights, dtype=dtype, attention=attention)
        else:
            model = AutoModelForImageTextToText.from_pretrained(
                weights, dtype=dtype, attn_implementation=attention, trust_remote_code=code
            )
        model = model.to(device).eval()
    except torch.OutOfMemoryError as error:
        raise LoadError(
            f"out of memory while {card.name} was loaded on {device} as {dtype}: lower engine_settings.dtype"
            " (bfloat16 takes half of float32), take a larger or an emptier device (engine_settings.device), or the"
            " engine vllm with quantised weights"
        ) from error
    model.requires_grad_(False)
    return Loaded(model, config, processor, device, _end_ids(model, config))


def _device(settings: TransformersSettings, device_id: int | None) -> torch.device:
    if settings.device != "auto":
        device = torch.device(settings.device)
        if device.type == "cuda" and not torch.cuda.is_available():
            raise LoadError(
                f"engine_settings.device is {settings.device}, but torch {torch.__version__} finds no GPU:"
                " look at the driver and at KEFU_TORCH, or set it to cpu"
            )
        return device
    if torch.cuda.is_available():
        return torch.device("cuda", device_id or 0)
    return torch.device("cpu")


def _dtype(settings: TransformersSettings, device: torch.device) -> torch.dtype:
    if settings.dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    found: torch.dtype = getattr(torch, settings.dtype)
    return found


def _attention(settings: TransformersSettings, device: torch.device) -> str:
    has_flash = importlib.util.find_spec("flash_attn") is not None
    if settings.attention == "auto":
        return "flash_attention_2" if has_flash and device.type == "cuda" else "sdpa"
    if settings.attention == "flash_attention_2" and (not has_flash or device.type != "cuda"):
        raise LoadError(
            "engine_settings.attention is flash_attention_2, which needs a GPU and the package flash-attn in the"
            " engine's environment: install it, or set it to sdpa"
        )
    return settings.attention


def _end_ids(model: Any, config: Any) -> frozenset[int]:
    found: set[int] = set()
    for source in (model.generation_config, config, config.get_text_config()):
        ids = getattr(source, "eos_token_id", None)
        found |= set(ids) if isinstance(ids, list) else set() if ids is None else {ids}
    if not found:
        raise LoadError("neither generation_config.json nor config.json has an eos_token_id")
    return frozenset(found)
