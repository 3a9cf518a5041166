"""The `sampling` tensor: JSON in, `Sampling` out, every wrong value named."""

from __future__ import annotations

import json
import math
from typing import Any

from engines.base import ContractError, Sampling

_KNOWN = frozenset(
    {
        *("max_tokens", "temperature", "top_p", "seed", "stop", "json_schema", "logprobs", "debug"),
        *("top_k", "min_p", "repetition_penalty", "presence_penalty", "cache_scope", "stream"),
    }
)
_MOST_STOPS = 16
_LONGEST_SCOPE = 128
# More than any vocabulary has.
_MOST_TOP_K = 1 << 24


def parse_sampling(text: bytes, context_tokens: int) -> Sampling:
    """ContractError(bad_sampling) when it is no JSON object, a value is out of range, or a name is unknown."""
    try:
        raw = json.loads(text.decode("utf-8")) if text.strip() else {}
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise _bad("sampling is not JSON in UTF-8") from error
    if not isinstance(raw, dict):
        raise _bad("sampling is not a JSON object")
    values: dict[str, Any] = {k: v for k, v in raw.items() if v is not None}
    if unknown := sorted(set(values) - _KNOWN):
        raise _bad(f"sampling has unknown names: {', '.join(unknown)[:200]}")
    seed = values.get("seed")
    if seed is not None:
        seed = _whole(seed, "seed", 0, 2**63 - 1)
    return Sampling(
        max_tokens=_whole(
            values.get("max_tokens", min(256, context_tokens)), "max_tokens", 1, context_tokens
        ),
        temperature=_real(values.get("temperature", 0.25), "temperature", 0.0, 2.0),
        top_p=_real(values.get("top_p", 1.0), "top_p", 1e-6, 1.0),
        top_k=_whole(values.get("top_k", 0), "top_k", 0, _MOST_TOP_K),
        min_p=_real(values.get("min_p", 0.0), "min_p", 0.0, 1.0),
        repetition_penalty=_real(
            values.get("repetition_penalty", 1.0), "repetition_penalty", 0.1, 10.0
        ),
        presence_penalty=_real(values.get("presence_penalty", 0.0), "presence_penalty", -2.0, 2.0),
        seed=seed,
        stop=_stops(values.get("stop", [])),
        json_schema=_schema(values.get("json_schema")),
        logprobs=bool(values.get("logprobs", True)),
        stream=bool(values.get("stream", True)),
        debug=bool(values.get("debug", False)),
        cache_scope=_scope(values.get("cache_scope", "")),
    )


def _bad(message: str) -> ContractError:
    return ContractError("bad_sampling", message)


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        raise _bad(f"{name} is not a whole number")
    if not low <= value <= high:
        raise _bad(f"{name} is not between {low} and {high}")
    return int(value)


def _real(value: Any, name: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise _bad(f"{name} is not a number")
    if not low <= value <= high:
        raise _bad(f"{name} is not between {low:g} and {high:g}")
    return float(value)


def _stops(value: Any) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(s, str) and s for s in stops):
        raise _bad("stop is not a list of non-empty strings")
    if len(stops) > _MOST_STOPS:
        raise _bad(f"stop has more than {_MOST_STOPS} strings")
    return tuple(stops)


def _scope(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_SCOPE:
        raise _bad(f"cache_scope is not a string of at most {_LONGEST_SCOPE} characters")
    return value


def _schema(value: Any) -> dict[str, Any] | None:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise ContractError("bad_schema", "json_schema is not JSON") from error
    if value is not None and not isinstance(value, dict):
        raise ContractError("bad_schema", "json_schema is not a JSON object")
    return value
