"""Run by the Python of an engine's environment: visual tokens as that engine's own picture processor counts them.

    python engine_tokens.py < question.json > answer.json

Asked: {"processors": {name: preprocessor_config}, "sizes": [[w, h], …], "pictures": [[w, h], …]}.  Answered for each
name: what the processor says of every size, and what it made of real pictures of the smaller list.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from transformers import AutoImageProcessor


def processor_of(configuration: dict[str, Any]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "preprocessor_config.json").write_text(json.dumps(configuration))
        return AutoImageProcessor.from_pretrained(folder)


def main() -> None:
    asked = json.load(sys.stdin)
    answer: dict[str, Any] = {}
    for name, configuration in asked["processors"].items():
        processor = processor_of(configuration)
        if name == "slices":
            # transformers has MiniCPM-V 4.6, which slices as 2.6 does: only how many tokens a slice takes is new.
            most, side = configuration["max_slice_nums"], configuration["scale_resolution"]
            grids = [processor.get_sliced_grid((h, w), most, side) for w, h in asked["sizes"]]
            answer[name] = {"grids": [list(grid) if grid else None for grid in grids]}
            continue
        merged = configuration["merge_size"] ** 2
        said = [processor.get_number_of_image_patches(h, w) // merged for w, h in asked["sizes"]]
        made = []
        for w, h in asked["pictures"]:
            features = processor(images=[Image.new("RGB", (w, h))], return_tensors="pt")
            made.append(int(features["image_grid_thw"].prod()) // merged)
        answer[name] = {"said": said, "made": made}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
