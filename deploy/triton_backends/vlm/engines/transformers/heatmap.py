"""Where the model looked while it answered: attention of the answer's tokens to those of each picture.

The fast implementations of attention never have its weights, so the answer is fed to the model once more, against the
keys and values of its prompt, with one that has them.  Shown is the mean over the answer's tokens, all heads and all
layers, scaled to the 99th percentile of each picture.  It is a hint for whoever looks into an answer, not a proof of
what the answer rests on (arXiv:1902.10186).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask

from engines.transformers.batch import Batch
from engines.transformers.rows import Row

_NAME = "kefu_watched"
_MOST_TOKENS = 256  # of the answer; more would cost memory and change little
# Dark to bright, in sRGB: what is looked at most is yellow.
_COLOURS = np.array(
    [(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], np.float32
)


class Watcher:
    """Draws attention maps with a model; used by the engine's thread alone."""

    def __init__(self, model: Any, device: torch.device, side: int) -> None:
        self._model = model
        self._device = device
        self._side = side
        self._seen: list[torch.Tensor] = []
        AttentionInterface.register(_NAME, self._attend)
        AttentionMaskInterface.register(_NAME, eager_mask)

    def maps(self, row: Row, batch: Batch) -> list[dict[str, Any]]:
        """One map a picture of the row, as JSON takes them; none without an answer or pictures."""
        answer = row.answer[:_MOST_TOKENS]
        if not answer or not row.prompt.spans:
            return []
        weights = self._weights(row, answer, batch)
        return [
            self._draw(number, picture, weights[first : first + height * width], height, width)
            for number, ((first, height, width), picture) in enumerate(
                zip(row.prompt.spans, row.pictures, strict=True)
            )
        ]

    def _weights(self, row: Row, answer: list[int], batch: Batch) -> NDArray[np.float32]:
        """[tokens of the prompt]: how much of the attention each had."""
        axes, prompt = row.prompt.positions.shape
        positions = torch.arange(len(answer)) + row.prompt.after
        self._seen = []
        with self._watching():
            self._model(
                input_ids=torch.tensor([answer], device=self._device),
                attention_mask=torch.ones(1, prompt + len(answer), device=self._device).long(),
                position_ids=positions.expand(axes, 1, -1).to(self._device),
                past_key_values=batch.prompt_of(row),
                use_cache=True,
                logits_to_keep=1,
            )
        seen, self._seen = self._seen, []
        mean: NDArray[np.float32] = torch.stack(seen).mean(dim=0)[:prompt].cpu().numpy()
        return mean

    @contextmanager
    def _watching(self) -> Iterator[None]:
        config = self._model.config.get_text_config()
        before = config._attn_implementation
        config._attn_implementation = _NAME
        try:
            yield
        finally:
            config._attn_implementation = before

    def _attend(
        self,
        module: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        scaling: float,
        **_: Any,
    ) -> tuple[torch.Tensor, None]:
        """Plain attention [1, heads, queries, keys] that leaves its mean weights behind."""
        groups = module.num_key_value_groups
        key, value = (states.repeat_interleave(groups, dim=1) for states in (key, value))
        scores = (query @ key.transpose(2, 3)).float() * scaling
        if attention_mask is not None:
            scores = scores + attention_mask[..., : key.shape[-2]]
        weights = torch.softmax(scores, dim=-1)
        self._seen.append(weights.mean(dim=(0, 1, 2)))
        return (weights.to(value.dtype) @ value).transpose(1, 2).contiguous(), None

    def _draw(
        self,
        number: int,
        picture: Image.Image,
        weights: NDArray[np.float32],
        rows: int,
        columns: int,
    ) -> dict[str, Any]:
        grid = weights.reshape(rows, columns)
        top = float(np.percentile(grid, 99)) or 1.0
        heat = Image.fromarray((np.clip(grid / top, 0, 1) * 255).astype(np.uint8))
        shown = picture.copy()
        shown.thumbnail((self._side, self._side))
        level = np.asarray(heat.resize(shown.size, Image.Resampling.BICUBIC), np.float32) / 255
        stops = np.linspace(0, 1, len(_COLOURS))
        colours = np.stack([np.interp(level, stops, _COLOURS[:, c]) for c in range(3)], axis=-1)
        # Where nothing was looked at the picture itself is seen, in grey.
        grey = np.asarray(shown.convert("L"), np.float32)[..., None]
        share = 0.25 + 0.5 * level[..., None]
        blended = Image.fromarray((grey * (1 - share) + colours * share).astype(np.uint8))
        encoded = io.BytesIO()
        blended.save(encoded, "WEBP", quality=80)
        return {
            "picture": number,
            "media_type": "image/webp",
            "data": base64.b64encode(encoded.getvalue()).decode("ascii"),
            "width": shown.width,
            "height": shown.height,
            "grid": [rows, columns],
        }
