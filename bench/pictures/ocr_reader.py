"""Runs in an environment that has rapidocr (`--ocr-python`): reads a path a line, answers with a JSON list of texts.

Imports nothing of Kefu: that environment has other versions of everything.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def main() -> None:
    """Until the end of standard input."""
    from rapidocr import RapidOCR  # not in the environment that checks this file

    engine: Any = RapidOCR(
        params={
            "Global.log_level": "error",
            "Global.use_cls": False,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        result = engine(line.strip())
        print(json.dumps(list(result.txts or ()), ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
