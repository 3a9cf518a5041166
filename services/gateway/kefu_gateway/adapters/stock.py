"""Triton's own vLLM backend (triton-inference-server/vllm_backend): its tensors in the place of our contract.

    stock = StockTensors(card, prompts)          # prompts: ModelPrompts, the model's tokenizer
    dialect = stock.speaking(shape)

| | name | type | here |
| --- | --- | --- | --- |
| in | `text_input` | BYTES [1] | the prompt as text: the card's template, rendered and cut to fit as for every model |
| in | `image` | BYTES [n] | pictures in base64 |
| in | `stream`, `exclude_input_in_output` | BOOL [1] | true |
| in | `sampling_parameters` | BYTES [1] | JSON of vLLM's SamplingParams |
| in | `return_…` | BOOL [1] | finish reason, log-probabilities, token counts, as far as the model has these inputs |
| out | `text_output` | BYTES [1] | new text |
| out | `finish_reason`, `logprobs`, `num_input_tokens`, `num_output_tokens` | | when asked for |

An older backend lacks some of the inputs: then tokens are counted with the model's own tokenizer, and the end of the
stream is the end of the answer.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from typing import Any

from tritonclient.grpc import service_pb2

from kefu_common.errors import KefuError, Reason
from kefu_gateway.adapters.dialects import Dialect, Reader, Shape
from kefu_gateway.adapters.prompts import ModelPrompts
from kefu_gateway.domain.card import ModelCard
from kefu_gateway.domain.ports import Inference, Sampling, TokenChunk

_RETURNS = (
    "return_finish_reason",
    "return_logprobs",
    "return_num_input_tokens",
    "return_num_output_tokens",
)
# vLLM's words, behind "Error generating stream:".
_TOO_LONG = re.compile(
    r"maximum model length|max_model_len|maximum context length|longer than the maximum",
    re.IGNORECASE,
)
_SCHEMA = re.compile(r"structured.?output|guided|grammar|json.?schema|xgrammar", re.IGNORECASE)
_BROKEN = re.compile(r"Error generating stream|unhealthy vLLM engine", re.IGNORECASE)
_FINISH = {"stop": "stop", "length": "length", "abort": "cancelled"}


class StockTensors:
    """What a model of that backend needs to be spoken to: its card and its tokenizer."""

    def __init__(self, card: ModelCard, prompts: ModelPrompts) -> None:
        self._card = card
        self._prompts = prompts

    def speaking(self, shape: Shape) -> Dialect:
        return StockDialect(self._card, self._prompts, shape)


class StockDialect:
    """See `dialects.Dialect`."""

    def __init__(self, card: ModelCard, prompts: ModelPrompts, shape: Shape) -> None:
        self._card = card
        self._prompts = prompts
        self._shape = shape
        self._head = (1,) if shape.batched else ()

    def request(self, inference: Inference) -> service_pb2.ModelInferRequest:
        """Raises KefuError where pictures are sent to a model that takes none."""
        if inference.pictures and "image" not in self._shape.inputs:
            raise KefuError(
                Reason.TOO_MANY_PICTURES,
                f"the model {inference.model!r} is served without pictures",
                limit=0,
                got=len(inference.pictures),
            )
        request = service_pb2.ModelInferRequest(model_name=inference.model)
        request.parameters["triton_enable_empty_final_response"].bool_param = True
        self._strings(request, "text_input", [self._text(inference).encode()])
        if inference.pictures:
            self._strings(request, "image", [base64.b64encode(one) for one in inference.pictures])
        parameters = sampling_parameters(inference.sampling)
        self._strings(request, "sampling_parameters", [parameters])
        for name in ("stream", "exclude_input_in_output", *_RETURNS):
            if name in self._shape.inputs:
                tensor = request.inputs.add(name=name, datatype="BOOL")
                tensor.shape.extend((*self._head, 1))
                request.raw_input_contents.append(b"\1")
        return request

    def stop(self, request: service_pb2.ModelInferRequest) -> None:
        """It knows no such message."""

    def reader(self, inference: Inference) -> Reader:
        return StockReader(inference, self._prompts)

    def error(self, words: str) -> KefuError | None:
        if _TOO_LONG.search(words):
            return KefuError(
                Reason.PROMPT_TOO_LONG, "the question is longer than the model's context"
            )
        if _SCHEMA.search(words):
            return KefuError(
                Reason.SCHEMA_INVALID, "the model host cannot enforce this JSON schema"
            )
        if _BROKEN.search(words):
            return KefuError(
                Reason.MODEL_SERVER_UNAVAILABLE, "the model broke off", dependency="triton"
            )
        return None

    def _text(self, inference: Inference) -> str:
        """The prompt that was rendered and cut to fit, as text again; vLLM cuts it into the same tokens."""
        text = self._prompts.text_of(inference.input_ids)
        if self._card.engine_text != self._card.placeholder:
            text = text.replace(self._card.placeholder, self._card.engine_text)
        return text

    def _strings(
        self, request: service_pb2.ModelInferRequest, name: str, values: list[bytes]
    ) -> None:
        tensor = request.inputs.add(name=name, datatype="BYTES")
        tensor.shape.extend((*self._head, len(values)))
        # Each element is its length as 4 little-endian bytes, then itself (KServe v2, binary data).
        request.raw_input_contents.append(b"".join(struct.pack("<I", len(v)) + v for v in values))


class StockReader:
    """One answer: new text of each response, and at the end what it cost."""

    def __init__(self, inference: Inference, prompts: ModelPrompts) -> None:
        self._prompts = prompts
        self._prompt_tokens = len(inference.input_ids) - len(inference.pictures)
        self._most = inference.sampling.max_tokens
        self._visual = 0
        self._completion = 0
        self._counted = False
        self._text = ""
        self._finished = False

    def read(self, response: service_pb2.ModelInferResponse) -> TokenChunk | None:
        raw = {
            output.name: content
            for output, content in zip(response.outputs, response.raw_output_contents, strict=False)
        }
        last = response.parameters["triton_final_response"].bool_param
        if self._finished or not (raw or last):
            return None
        text = _string(raw.get("text_output", b"")).decode("utf-8", "replace")
        self._text += text
        ids, logprobs = _tokens(_string(raw.get("logprobs", b"")))
        if "num_output_tokens" in raw:
            self._counted = True
            self._completion += _number(raw["num_output_tokens"])
        if "num_input_tokens" in raw:
            self._visual = max(0, _number(raw["num_input_tokens"]) - self._prompt_tokens)
        reason = _FINISH.get(_string(raw.get("finish_reason", b"")).decode(), "")
        if last and not reason:
            reason = "length" if self._count() >= self._most else "stop"
        self._finished = bool(reason)
        return TokenChunk(
            token_ids=ids,
            text=text,
            logprobs=logprobs,
            finish_reason=reason,
            usage=(self._prompt_tokens, self._visual, self._count()) if reason else (0, 0, 0),
        )

    def _count(self) -> int:
        """Tokens of the answer: the server's count, or the model's own tokenizer's."""
        return self._completion if self._counted else self._prompts.count(self._text)


def sampling_parameters(sampling: Sampling) -> bytes:
    """JSON of vLLM's SamplingParams."""
    settings: dict[str, Any] = {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        # 0: of the chosen token alone.
        "logprobs": 0,
    }
    settings |= sampling.extras.settings()
    if sampling.seed is not None:
        settings["seed"] = sampling.seed
    if sampling.stop:
        settings["stop"] = list(sampling.stop)
    if sampling.json_schema:
        # The backend reads this one value as JSON within the JSON.
        settings["structured_outputs"] = json.dumps({"json": json.loads(sampling.json_schema)})
    return json.dumps(settings, ensure_ascii=False, separators=(",", ":")).encode()


def _tokens(raw: bytes) -> tuple[list[int], list[float]]:
    """Ids and log-probabilities of `logprobs`: a list with one {id: {logprob, rank, decoded_token}} a token."""
    try:
        found = json.loads(raw) if raw else None
    except ValueError:
        return [], []
    ids, logprobs = [], []
    for one in found or ():
        # The chosen token stands first.
        token, value = next(iter(one.items()))
        ids.append(int(token))
        logprobs.append(float(value["logprob"]))
    return ids, logprobs


def _string(raw: bytes) -> bytes:
    return raw[4 : 4 + struct.unpack_from("<I", raw)[0]] if len(raw) >= 4 else b""


def _number(raw: bytes) -> int:
    return int(struct.unpack_from("<I", raw)[0]) if len(raw) >= 4 else 0
