"""A stand-in for the processor of MiniCPM-V 2.6.

Ours, not openbmb's. vLLM takes the tokenizer out of it, and puts the pictures' text into the prompt by itself.
"""

from __future__ import annotations

from typing import Any, ClassVar

from transformers import ProcessorMixin


class MiniCPMVProcessor(ProcessorMixin):
    attributes: ClassVar = ["image_processor", "tokenizer"]
    image_processor_class = "AutoImageProcessor"
    tokenizer_class = "AutoTokenizer"

    def __init__(self, image_processor: Any = None, tokenizer: Any = None) -> None:
        super().__init__(image_processor, tokenizer)
