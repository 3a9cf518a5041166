"""A stand-in for the tokenizer class of MiniCPM-V 2.6: Qwen2's, which knows the ids of the marks around pictures.

Ours, not openbmb's: what vLLM's `processors/minicpmv.py` asks of it.
"""

from __future__ import annotations

from typing import cast

from transformers import Qwen2TokenizerFast


class MiniCPMVTokenizerFast(Qwen2TokenizerFast):
    @property
    def im_start_id(self) -> int:
        return self._id("<image>")

    @property
    def im_end_id(self) -> int:
        return self._id("</image>")

    @property
    def slice_start_id(self) -> int:
        return self._id("<slice>")

    @property
    def slice_end_id(self) -> int:
        return self._id("</slice>")

    def _id(self, mark: str) -> int:
        return cast(int, self.convert_tokens_to_ids(mark))
