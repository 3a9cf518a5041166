"""A stand-in for the picture processor of MiniCPM-V 2.6: the same text for a picture, the same slices, other code.

Ours, not openbmb's, written from arXiv:2408.01800 (section 3.2) and from what vLLM's `models/minicpmv.py` does with
what comes out: for each prompt the patches of its slices (3, 14, 14 × their number), each slice's rows and columns of
patches, and each picture's width and height.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from transformers.image_processing_utils import BaseImageProcessor, BatchFeature

Size = tuple[int, int]


class MiniCPMVImageProcessor(BaseImageProcessor):
    model_input_names: ClassVar = ["pixel_values"]

    def __init__(
        self,
        max_slice_nums: int = 9,
        scale_resolution: int = 448,
        patch_size: int = 14,
        image_feature_size: int = 64,
        use_image_id: bool = True,
        im_start: str = "<image>",
        im_end: str = "</image>",
        slice_start: str = "<slice>",
        slice_end: str = "</slice>",
        unk: str = "<unk>",
        im_id_start: str = "<image_id>",
        im_id_end: str = "</image_id>",
        version: float = 2.6,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.max_slice_nums = max_slice_nums
        self.scale_resolution = scale_resolution
        self.patch_size = patch_size
        self.image_feature_size = image_feature_size
        self.use_image_id = use_image_id
        # Under the names by which vLLM asks for them, which are not those of the file.
        self.im_start_token, self.im_end_token = im_start, im_end
        self.slice_start_token, self.slice_end_token = slice_start, slice_end
        self.unk_token = unk
        self.im_id_start, self.im_id_end = im_id_start, im_id_end
        self.version = version

    def get_sliced_grid(
        self, image_size: Size, max_slice_nums: int, never_split: bool = False
    ) -> list[int] | None:
        """Columns and rows of the slices; None where a picture is shown once, as a whole."""
        width, height = image_size
        wanted = min(math.ceil(width * height / self.scale_resolution**2), max_slice_nums)
        if wanted <= 1 or never_split:
            return None
        counts = [n for n in (wanted - 1, wanted, wanted + 1) if 1 < n <= max_slice_nums]
        grids = [[n, count // n] for count in counts for n in range(1, count + 1) if not count % n]
        proportion = math.log(width / height)
        # Of equal ones the first.
        return min(grids, key=lambda grid: abs(proportion - math.log(grid[0] / grid[1])))

    def get_slice_image_placeholder(
        self,
        image_size: Size,
        image_idx: int = 0,
        max_slice_nums: int | None = None,
        use_image_id: bool | None = None,
    ) -> str:
        """The text of one picture: its number, the whole, rows of slices."""
        features = self.unk_token * self.image_feature_size
        whole = f"{self.im_start_token}{features}{self.im_end_token}"
        piece = f"{self.slice_start_token}{features}{self.slice_end_token}"
        most = max_slice_nums or self.max_slice_nums
        columns, rows = self.get_sliced_grid(image_size, most) or (0, 0)
        numbered = self.use_image_id if use_image_id is None else use_image_id
        number = f"{self.im_id_start}{image_idx}{self.im_id_end}" if numbered else ""
        return number + whole + "\n".join([piece * columns] * rows)

    def preprocess(
        self,
        images: list[list[Image.Image]],
        do_pad: bool = True,
        max_slice_nums: int | None = None,
        return_tensors: Any = None,
        **more: Any,
    ) -> BatchFeature:
        """images: those of each prompt"""
        most = max_slice_nums or self.max_slice_nums
        prompts = [[s for i in p for s in self._slices(i.convert("RGB"), most)] for p in images]
        sizes = [[(s.height, s.width) for s in slices] for slices in prompts]
        return BatchFeature(
            {
                "pixel_values": [[self._patches(s) for s in slices] for slices in prompts],
                "image_sizes": [[torch.tensor(image.size) for image in p] for p in images],
                "tgt_sizes": [torch.tensor(of) // self.patch_size for of in sizes],
            }
        )

    def _slices(self, image: Image.Image, most: int) -> list[Image.Image]:
        """The whole picture, then its slices, row by row."""
        whole = _resized(image, self._fitting(*image.size))
        grid = self.get_sliced_grid(image.size, most)
        if grid is None:
            return [whole]
        columns, rows = grid
        width, height = self._fitting(
            max(columns, round(image.width / columns) * columns) / columns,
            max(rows, round(image.height / rows) * rows) / rows,
        )
        large = _resized(image, (width * columns, height * rows))
        return [
            whole,
            *(
                large.crop((x * width, y * height, (x + 1) * width, (y + 1) * height))
                for y in range(rows)
                for x in range(columns)
            ),
        ]

    def _fitting(self, width: float, height: float) -> Size:
        """Sides of whole patches, in proportion, with the area of one slice."""
        down = int(self.scale_resolution / math.sqrt(width / height))
        across = int(down * (width / height))
        patch = self.patch_size
        return max(1, round(across / patch)) * patch, max(1, round(down / patch)) * patch

    def _patches(self, image: Image.Image) -> torch.Tensor:
        """float32 (3, patch, patch × number), -1 to 1, the patches of a row side by side, rows one after the other."""
        values = torch.from_numpy(np.asarray(image, dtype=np.float32) / 127.5 - 1)
        patch = self.patch_size
        rows, columns = image.height // patch, image.width // patch
        cut = values.reshape(rows, patch, columns, patch, 3)
        return cut.permute(4, 1, 0, 2, 3).reshape(3, patch, rows * columns * patch).contiguous()


def _resized(image: Image.Image, size: Size) -> Image.Image:
    return image.resize(size, Image.Resampling.BICUBIC)
