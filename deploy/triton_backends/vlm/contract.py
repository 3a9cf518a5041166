"""The tensor contract of every VLM, and its translation to `Job` and from `Chunk`.

| | name | type, shape | meaning |
| --- | --- | --- | --- |
| in | `input_ids` | INT32 [-1] | the tokenised prompt; one placeholder token a picture |
| in | `images` | UINT8 [-1] | encoded pictures back to back, raw bytes; always present, maybe empty |
| in | `image_sizes` | INT32 [-1] | bytes of each, in order; always present, maybe empty |
| in | `sampling` | BYTES [1] | JSON, see `engines.base.Sampling`; without a prompt {"cancel": id}, see `callers` |
| out | `token_ids` | INT32 [-1] | new tokens |
| out | `text` | BYTES [1] | their text, whole UTF-8 characters only |
| out | `logprobs` | FP32 [-1] | of the new tokens |
| out | `finish_reason` | BYTES [1] | empty until the end: stop, length, cancelled, error |
| out | `details` | BYTES [1] | JSON in the last response; empty where the engine has none; see below |
| out | `usage` | INT32 [3] | prompt text tokens, visual tokens, completion tokens; zeros until the end |

`details`, each part only where an engine has it: `evidence` (rows of {picture, text, box}), `handover`, `pictures`, and
where sampling says `debug` a `debug` with `prompt` (what the model was shown) or `attention` (a list of {picture,
media_type, data, width, height, grid}: for each picture of the prompt, from 0, an encoded picture in base64 of where
the model looked, and the rows and columns of its tokens).

Each tensor has a leading batch dimension of 1: Triton groups ragged requests, it does not stack them.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from engines.base import Card, Chunk, ContractError, Job
from numpy.typing import NDArray
from sampling import parse_sampling


def read_job(request: Any, card: Card, pb_utils: Any) -> Job:
    """One Triton request as a Job; ContractError where a tensor or the picture count is wrong."""

    def tensor(name: str) -> NDArray[Any]:
        found = pb_utils.get_input_tensor_by_name(request, name)
        if found is None:
            raise ContractError("bad_tensor", f"{name} is missing")
        array: NDArray[Any] = found.as_numpy().reshape(-1)
        return array

    return job_from_arrays(
        input_ids=tensor("input_ids"),
        images=tensor("images"),
        image_sizes=tensor("image_sizes"),
        sampling=tensor("sampling"),
        card=card,
    )


def job_from_arrays(
    *,
    input_ids: NDArray[Any],
    images: NDArray[Any],
    image_sizes: NDArray[Any],
    sampling: NDArray[Any],
    card: Card,
) -> Job:
    """Checks what every engine would have to check: sizes, counts, placeholders."""
    if input_ids.size == 0:
        raise ContractError("bad_tensor", "input_ids is empty")
    if int(input_ids.min()) < 0:
        raise ContractError("bad_tensor", "input_ids has a negative id")
    if sampling.size != 1:
        raise ContractError("bad_tensor", "sampling is not one string")
    sizes = [int(size) for size in image_sizes]
    if any(size <= 0 for size in sizes):
        raise ContractError("bad_tensor", "image_sizes has a size that is not positive")
    if sum(sizes) != images.size:
        raise ContractError(
            "bad_tensor", f"image_sizes adds up to {sum(sizes)} bytes, images has {images.size}"
        )
    if len(sizes) > card.max_pictures:
        raise ContractError(
            "too_many_pictures",
            f"{len(sizes)} pictures, this model takes {card.max_pictures} at most",
        )
    places = int((input_ids == card.placeholder_id).sum())
    if places != len(sizes):
        raise ContractError(
            "placeholder_mismatch",
            f"the prompt has {places} placeholders for {len(sizes)} pictures",
        )
    if input_ids.size > card.context_tokens:
        raise ContractError(
            "prompt_too_long",
            f"the prompt has {input_ids.size} tokens, the context {card.context_tokens}",
        )
    raw = images.astype(np.uint8, copy=False).tobytes()
    pictures, start = [], 0
    for size in sizes:
        pictures.append(raw[start : start + size])
        start += size
    return Job(
        input_ids=tuple(input_ids.tolist()),
        images=tuple(pictures),
        sampling=parse_sampling(_as_bytes(sampling[0]), card.context_tokens),
    )


def response_tensors(chunk: Chunk) -> list[tuple[str, NDArray[Any]]]:
    """The six output tensors of a response, in the contract's order, each with the batch dimension."""
    return written_tensors(chunk) + end_tensors(chunk)


def written_tensors(chunk: Chunk) -> list[tuple[str, NDArray[Any]]]:
    """The first three, which hold what was written."""
    return [
        ("token_ids", np.array([chunk.token_ids], dtype=np.int32)),
        ("text", _string(chunk.text.encode("utf-8"))),
        ("logprobs", np.array([chunk.logprobs], dtype=np.float32)),
    ]


def end_tensors(chunk: Chunk) -> list[tuple[str, NDArray[Any]]]:
    """The last three, which say nothing before the end."""
    usage = chunk.usage
    details = (
        b"" if chunk.details is None else json.dumps(chunk.details, ensure_ascii=False).encode()
    )
    return [
        ("finish_reason", _string(chunk.finish_reason.encode("ascii"))),
        ("details", _string(details)),
        (
            "usage",
            np.array(
                [[usage.text, usage.visual, usage.completion] if usage else [0, 0, 0]],
                dtype=np.int32,
            ),
        ),
    ]


def _string(value: bytes) -> NDArray[Any]:
    return np.array([[value]], dtype=np.object_)


def _as_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8")
