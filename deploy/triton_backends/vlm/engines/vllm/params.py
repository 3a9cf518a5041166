"""The contract's sampling as vLLM's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from engines.base import ContractError, Sampling


def sampling_params(sampling: Sampling, ends: Sequence[int] = ()) -> Any:
    """vLLM's SamplingParams; ContractError(bad_schema) for a schema that makes no sense.

    ends: ids of tokens that end an answer, beside those that the weights' own files name
    """
    from vllm.sampling_params import (
        RequestOutputKind,
        SamplingParams,
        StructuredOutputsParams,
    )

    schema = sampling.json_schema
    if schema is not None:
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise ContractError("bad_schema", f"json_schema: {error.message[:200]}") from error
    return SamplingParams(
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        repetition_penalty=sampling.repetition_penalty,
        presence_penalty=sampling.presence_penalty,
        seed=sampling.seed,
        stop_token_ids=list(ends),
        # 0: the chosen token's alone
        logprobs=0 if sampling.logprobs else None,
        # Text, stop strings and whole characters are `answer.py`'s: the same as every engine's.
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
        structured_outputs=None if schema is None else StructuredOutputsParams(json=dict(schema)),
    )
