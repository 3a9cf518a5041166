"""How much memory of a GPU a model takes, and on which cards it fits.

    needs = gibibytes(card.memory, "fp8", tokens=65_536)

    memory = weights + KV cache + run time
    weights  = quantised parameters × bytes of the format + the other parameters × 2 (bf16)
    KV cache = bytes a token (2 × layers × KV heads × head size × 2 bytes) × tokens in flight
    run time = 2.5 GiB: CUDA's context, graphs, activations of a prompt and of the vision tower

It fits where that is at most nine tenths of a card (`gpu_memory_utilization` 0.9).  The formula is checked against the
sizes that publishers state in docs/models.md; only a run on the card itself is a measurement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kefu_modelhost.card import MemoryNeeds, ModelCard

GIB = 1 << 30
RUNTIME_GIB = 2.5
USABLE = 0.9
# int4 keeps a 16-bit scale and a 4-bit zero for each group of 128 weights (AWQ, GPTQ).
FORMATS: Mapping[str, float] = {"bf16": 2.0, "fp8": 1.0, "int4": 0.5 + (16 + 4) / 128 / 8}


@dataclass(frozen=True, slots=True)
class Gpu:
    """A card: its memory in GiB as the driver says, and its compute capability."""

    name: str
    gib: float
    capability: float


# Memory as the publisher states it, less what error correction and the driver keep.
GPUS = (
    Gpu("T4 16 GB", 15.0, 7.5),
    Gpu("L4 24 GB", 22.5, 8.9),
    Gpu("A10 24 GB", 22.5, 8.6),
    Gpu("RTX 4090 24 GB", 23.5, 8.9),
    Gpu("A100 40 GB", 39.5, 8.0),
    Gpu("L40S 48 GB", 45.0, 8.9),
    Gpu("A100 80 GB", 79.2, 8.0),
    Gpu("H100 80 GB", 79.6, 9.0),
    Gpu("H200 141 GB", 139.8, 9.0),
)
# bf16 and fp8 arithmetic begin with these; int4 kernels with Turing, in half precision.
_CAPABILITY = {"bf16": 8.0, "fp8": 8.9, "int4": 7.5}


def weights_gib(needs: MemoryNeeds, form: str) -> float:
    """GiB of the weights alone."""
    rest = needs.parameters - needs.quantised_parameters
    return (needs.quantised_parameters * FORMATS[form] + rest * FORMATS["bf16"]) / GIB


def gibibytes(needs: MemoryNeeds, form: str, *, tokens: int) -> float:
    """GiB in all, with `tokens` in flight."""
    return weights_gib(needs, form) + needs.kv_bytes_per_token * tokens / GIB + RUNTIME_GIB


def cards_that_fit(needs: MemoryNeeds, form: str, *, tokens: int) -> list[str]:
    """Names of `GPUS` that have the memory and the arithmetic."""
    need = gibibytes(needs, form, tokens=tokens)
    return [
        gpu.name for gpu in GPUS if gpu.capability >= _CAPABILITY[form] and need <= gpu.gib * USABLE
    ]


def table(cards: list[ModelCard]) -> str:
    """The table of docs/models.md, in Markdown: two contexts of each model in flight."""
    lines = [
        "| model | tokens in flight | bf16 | fp8 | int4 | smallest card for bf16 / fp8 / int4 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for card in cards:
        if card.memory is None:
            continue
        tokens = 2 * card.context_tokens
        sizes, smallest = [], []
        for form in FORMATS:
            whole = gibibytes(card.memory, form, tokens=tokens)
            sizes.append(f"{weights_gib(card.memory, form):.1f} → {whole:.1f} GiB")
            fits = cards_that_fit(card.memory, form, tokens=tokens)
            smallest.append(fits[0] if fits else "none")
        lines.append(
            f"| `{card.name}` | {tokens:,} | {' | '.join(sizes)} | {' / '.join(smallest)} |"
        )
    return "\n".join(lines) + "\n"
