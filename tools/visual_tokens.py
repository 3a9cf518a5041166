"""The gateway's visual-token counts against a publisher's own processor code, for models whose code is not a package.

    git clone https://github.com/microsoft/Magma
    python -m tools.visual_tokens magma_8b --code Magma/magma/image_processing_magma.py
    python -m tools.visual_tokens minicpm_v_2_6 --code WEIGHTS/minicpm_v_2_6/image_processing_minicpmv.py

Only the functions that decide about sizes are taken out of the file and run; nothing of torch is needed.
`--golden N` prints N sizes and counts of the publisher's code, which the tests keep.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from kefu_gateway.domain.answer import Size
from kefu_gateway.domain.visual_tokens import parse_rule

ROOT = Path(__file__).resolve().parents[1]
SEED = 20_241_114
_MAGMA = ("select_best_resolution",)
_MINICPM = (
    "get_grid_placeholder",
    "get_image_id_placeholder",
    "get_sliced_grid",
    "get_slice_image_placeholder",
)
# Names that versions of the file give to the same marks.
_MARKS = {
    "im_start": "<image>",
    "im_end": "</image>",
    "unk": "<unk>",
    "slice_start": "<slice>",
    "slice_end": "</slice>",
    "im_id_start": "<image_id>",
    "im_id_end": "</image_id>",
}

Count = Callable[[int, int], int]


def sizes(count: int) -> list[tuple[int, int]]:
    """Random (width, height) in pixels, the same ones every time; half of them as photos and screens have them."""
    chosen = random.Random(SEED)
    found = []
    for number in range(count):
        width, height = chosen.randint(20, 4500), chosen.randint(20, 4500)
        if number % 2:
            height = max(
                20, round(width * chosen.choice((3 / 4, 4 / 3, 9 / 16, 16 / 9, 20 / 9, 1)))
            )
        found.append((width, height))
    return found


def functions(code: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """The named functions or methods of a file, without running the rest of it."""
    tree = ast.parse(code.read_text(encoding="utf-8"))
    wanted: list[ast.stmt] = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name in names
    ]
    if len({node.name for node in wanted if isinstance(node, ast.FunctionDef)}) < len(names):
        raise SystemExit(f"{code} does not have all of {', '.join(names)}")
    for node in wanted:
        assert isinstance(node, ast.FunctionDef)
        # Annotations name classes of packages that are not needed here.
        node.returns = None
        for argument in (*node.args.args, *node.args.kwonlyargs):
            argument.annotation = None
    space: dict[str, Any] = {"math": math}
    exec(compile(ast.Module(wanted, []), str(code), "exec"), space)
    return space


def magma(code: Path, rule: dict[str, Any]) -> Count:
    best = functions(code, _MAGMA)["select_best_resolution"]
    side, most = rule["side"], rule["most"]
    grids = [(i * side, j * side) for i in range(1, most + 1) for j in range(1, most // i + 1)]

    def count(width: int, height: int) -> int:
        across, down = best((width, height), grids)
        # MagmaForCausalLM.forward, strategy "crop": rows of features, a separator behind each.
        return int((down // rule["stride"]) * (across // rule["stride"] + 1))

    return count


def minicpm(code: Path, rule: dict[str, Any]) -> Count:
    found = functions(code, _MINICPM)
    marks = {f"{name}{end}": text for name, text in _MARKS.items() for end in ("", "_token")}
    processor = SimpleNamespace(
        **marks,
        tokenizer=SimpleNamespace(**marks),
        max_slice_nums=rule["most"],
        scale_resolution=rule["side"],
        image_feature_size=rule["queries"],
        use_image_id=True,
        slice_mode=True,
    )
    for name in _MINICPM:
        setattr(processor, name, found[name].__get__(processor))

    def count(width: int, height: int) -> int:
        text = processor.get_slice_image_placeholder((width, height), 7)
        # Each mark, each line break and each digit is one token of its tokenizer.
        return len(re.findall(r"<[^>]+>|\n|\d", text))

    return count


_CODE: dict[str, Callable[[Path, dict[str, Any]], Count]] = {
    "magma_8b": magma,
    "minicpm_v_2_6": minicpm,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", choices=sorted(_CODE))
    parser.add_argument("--code", type=Path, required=True, help="the publisher's file")
    parser.add_argument("--sizes", type=int, default=500)
    parser.add_argument("--golden", type=int, default=0)
    options = parser.parse_args()
    card = json.loads((ROOT / "deploy/triton_models" / options.model / "1/model.json").read_text())
    tokens = card["picture"]["tokens"]
    theirs, ours = _CODE[options.model](options.code, tokens), parse_rule(tokens)
    if options.golden:
        print([(w, h, theirs(w, h)) for w, h in sizes(options.golden)])
        return 0
    wrong = [s for s in sizes(options.sizes) if theirs(*s) != ours.tokens(Size(*s))]
    print(f"{options.model}: {options.sizes - len(wrong)} of {options.sizes} sizes equal")
    for width, height in wrong[:10]:
        print(
            f"  {width}×{height}: {theirs(width, height)}, not {ours.tokens(Size(width, height))}"
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
