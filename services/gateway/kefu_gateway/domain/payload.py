"""A question as it lies in a session's inbox: JSON, its pictures by hash, so that any gateway can answer it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from kefu_gateway.domain.question import CropMode, Generation, PicturePart, Question, TextPart
from kefu_gateway.domain.session import KeptPart


def to_payload(question: Question) -> bytes:
    """Every picture must have its `sha256`."""
    parts: list[dict[str, Any]] = []
    for part in question.parts:
        if isinstance(part, TextPart):
            parts.append({"text": part.text})
            continue
        assert part.sha256
        raw: dict[str, Any] = {
            "sha256": part.sha256,
            "media_type": part.media_type,
            "crop_mode": part.crop_mode.value,
            "find_elements": part.find_elements,
        }
        if part.page:
            raw |= {"page": part.page, "document": part.document}
        parts.append(raw)
    document = {
        "request_id": question.request_id,
        "session_id": question.session_id,
        "tenant": question.tenant,
        "model": question.model,
        "scenario": question.scenario,
        "more_to_come": question.more_to_come,
        "generation": asdict(question.generation),
        "context": question.context,
        "debug": question.debug,
        "language": question.language,
        "parts": parts,
    }
    if not question.streamed:
        document["streamed"] = False
    if question.trace:
        document["trace"] = question.trace
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def from_payload(payload: bytes) -> Question:
    document = json.loads(payload)
    generation = document.pop("generation")
    generation["stop"] = tuple(generation["stop"])
    parts = tuple(_part(raw) for raw in document.pop("parts"))
    trace = tuple((key, value) for key, value in document.pop("trace", ()))
    return Question(parts=parts, generation=Generation(**generation), trace=trace, **document)


def fingerprint(payload: bytes) -> str:
    """Tells two different questions with one request_id apart."""
    return hashlib.sha256(payload).hexdigest()


def merged(questions: Sequence[Question]) -> Question:
    """One question of several: their parts in order, the settings of the last, what any of them knows."""
    last = questions[-1]
    context: dict[str, Any] = {}
    for question in questions:
        context.update(question.context)
    languages = [question.language for question in questions if question.language]
    return replace(
        last,
        parts=tuple(part for question in questions for part in question.parts),
        context=context,
        debug=any(question.debug for question in questions),
        streamed=any(question.streamed for question in questions),
        language=languages[-1] if languages else "",
    )


def kept_parts(questions: Sequence[Question]) -> tuple[KeptPart, ...]:
    """What a transcript remembers of them."""
    kept = []
    for question in questions:
        for part in question.parts:
            if isinstance(part, TextPart):
                kept.append(KeptPart(request_id=question.request_id, text=part.text))
            else:
                kept.append(
                    KeptPart(
                        request_id=question.request_id,
                        picture_sha256=part.sha256,
                        media_type=part.media_type,
                        crop_mode=part.crop_mode.value,
                    )
                )
    return tuple(kept)


def _part(raw: dict[str, Any]) -> TextPart | PicturePart:
    if "text" in raw:
        return TextPart(raw["text"])
    return PicturePart(
        sha256=raw["sha256"],
        media_type=raw["media_type"],
        crop_mode=CropMode(raw["crop_mode"]),
        find_elements=raw["find_elements"],
        page=raw.get("page", 0),
        document=raw.get("document", 0),
    )
