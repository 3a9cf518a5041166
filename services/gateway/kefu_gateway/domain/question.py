"""What is asked, and the limits of asking, side by side."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from kefu_common.errors import KefuError, Reason

IDENTIFIER = re.compile(r"[A-Za-z0-9._:-]{1,128}")
MEDIA_TYPES = ("image/jpeg", "image/png", "image/webp", "image/bmp")
# A document: each of its pages becomes a picture.
PDF = "application/pdf"
ACCEPTED_TYPES = (*MEDIA_TYPES, PDF)

# A signed 64-bit number: what every engine takes.
LARGEST_SEED = 2**63 - 1

_CJK = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_LETTER = re.compile(r"[A-Za-z]")


class CropMode(StrEnum):
    """Whether system bars may be cut off a picture."""

    AUTO = "auto"
    FORCE = "force"
    FORBID = "forbid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one question may hold. Bytes, pixels, characters, tokens; milliseconds for a turn."""

    picture_bytes: int = 20 * 1024 * 1024
    picture_pixels: int = 12_000_000
    parts: int = 20
    pictures: int = 10
    text_characters: int = 32_768
    context_bytes: int = 16_384
    schema_bytes: int = 16_384
    max_tokens: int = 4096
    stops: int = 8
    stop_characters: int = 64
    message_bytes: int = 64 * 1024 * 1024
    turn_seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class TextPart:
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturePart:
    """One picture as sent. One of `data`, `upload_id` and `url` is set (`data` may be empty bytes, which is refused),
    or `sha256` alone: then its bytes are in the picture store.

    A document comes as one part too, until gather puts its pages in its place: `document` counts the documents of the
    question from 1, `page` the pages of each; 0: not a page.
    """

    data: bytes | None = None
    sha256: str = ""
    upload_id: str | None = None
    url: str | None = None
    media_type: str = ""
    crop_mode: CropMode = CropMode.AUTO
    find_elements: bool = False
    page: int = 0
    document: int = 0


Part = TextPart | PicturePart


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """How an answer is generated; None takes the model card's setting."""

    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request of a caller. Empty strings: not given. `tenant`: whose it is ("" where nobody is told apart).

    `chosen_id`: the caller chose the `request_id`, and may send it again. `leave_when_closed`: a caller that goes away
    takes its question back. `streamed`: it reads along; else it wants the answer whole.
    """

    request_id: str
    parts: Sequence[Part]
    session_id: str = ""
    tenant: str = ""
    model: str = ""
    scenario: str = ""
    more_to_come: bool = False
    generation: Generation = field(default_factory=Generation)
    context: Mapping[str, Any] = field(default_factory=dict)
    debug: bool = False
    language: str = ""
    chosen_id: bool = False
    leave_when_closed: bool = True
    streamed: bool = True
    # What lets a turn that joins this request put its spans under it (W3C headers); empty where nobody traces.
    trace: tuple[tuple[str, str], ...] = ()

    @property
    def pictures(self) -> list[tuple[int, PicturePart]]:
        """The pictures with their place among the parts."""
        return [(i, part) for i, part in enumerate(self.parts) if isinstance(part, PicturePart)]

    @property
    def text(self) -> str:
        return "\n".join(part.text for part in self.parts if isinstance(part, TextPart))


def language_of(text: str, declared: str = "") -> str:
    """ "zh" or "en": as declared, else by the text's script; Chinese where that says nothing."""
    if declared:
        return "en" if declared.lower().startswith("en") else "zh"
    if _CJK.search(text):
        return "zh"
    return "en" if _LETTER.search(text) else "zh"


def is_document(media_type: str, data: bytes) -> bool:
    """Whether a part is a document: it says so, or begins like one (the sidecar refuses it where it says otherwise)."""
    return media_type == PDF or data.startswith(b"%PDF-")


def part_field(index: int, name: str) -> str:
    """The path of a picture's field in a request, as errors name it."""
    return f"question.parts[{index}].picture.{name}"


def check_question(question: Question, limits: Limits) -> None:
    """Refuses what can be refused without looking into a picture. Raises KefuError naming the field."""
    _check_identifier(question.session_id, "question.session_id")
    _check_identifier(question.request_id, "question.request_id")
    _check_identifier(question.model, "question.model")
    _check_identifier(question.scenario, "question.scenario")
    _check_parts(question, limits)
    _check_generation(question.generation, limits)
    size = len(json.dumps(question.context, ensure_ascii=False).encode()) if question.context else 0
    if size > limits.context_bytes:
        raise KefuError(
            Reason.FIELD_INVALID,
            f"the context is {size} bytes as JSON; at most {limits.context_bytes} are allowed",
            field="question.context",
            limit=limits.context_bytes,
            got=size,
            unit="bytes",
        )


def _check_identifier(value: str, name: str) -> None:
    if value and not IDENTIFIER.fullmatch(value):
        raise KefuError(
            Reason.FIELD_INVALID,
            f"{name} may have 1 to 128 of the characters A-Z a-z 0-9 . _ : -",
            field=name,
        )


def _check_parts(question: Question, limits: Limits) -> None:
    parts, name = question.parts, "question.parts"
    if len(parts) > limits.parts:
        raise KefuError(
            Reason.TOO_MANY_PARTS,
            f"the question has {len(parts)} parts; at most {limits.parts} are allowed",
            field=name,
            limit=limits.parts,
            got=len(parts),
        )
    pictures = question.pictures
    if len(pictures) > limits.pictures:
        raise KefuError(
            Reason.TOO_MANY_PICTURES,
            f"the question has {len(pictures)} pictures; at most {limits.pictures} are allowed",
            field=name,
            limit=limits.pictures,
            got=len(pictures),
        )
    if not pictures and not question.text.strip():
        raise KefuError(
            Reason.TURN_EMPTY, "the question has neither text nor a picture", field=name
        )
    for index, part in enumerate(parts):
        if isinstance(part, TextPart) and len(part.text) > limits.text_characters:
            raise KefuError(
                Reason.FIELD_INVALID,
                f"the text has {len(part.text)} characters; at most {limits.text_characters} are allowed",
                field=f"{name}[{index}].text",
                limit=limits.text_characters,
                got=len(part.text),
                unit="characters",
            )
    for index, picture in pictures:
        _check_picture(index, picture, limits)


def _check_picture(index: int, picture: PicturePart, limits: Limits) -> None:
    if picture.media_type and picture.media_type not in ACCEPTED_TYPES:
        raise KefuError(
            Reason.PICTURE_FORMAT_UNSUPPORTED,
            f"pictures of this media type are not accepted; send one of {', '.join(ACCEPTED_TYPES)}",
            field=part_field(index, "media_type"),
            allowed=",".join(ACCEPTED_TYPES),
        )
    if picture.data is None:
        return
    if not picture.data:
        raise KefuError(
            Reason.PICTURE_EMPTY, "the picture has no bytes", field=part_field(index, "data")
        )
    if len(picture.data) > limits.picture_bytes:
        raise KefuError(
            Reason.PICTURE_TOO_LARGE,
            f"the picture has {len(picture.data)} bytes; at most {limits.picture_bytes} are allowed",
            field=part_field(index, "data"),
            limit=limits.picture_bytes,
            got=len(picture.data),
            unit="bytes",
        )


def _check_generation(generation: Generation, limits: Limits) -> None:
    def refuse(name: str, sentence: str) -> KefuError:
        return KefuError(
            Reason.SETTING_INVALID, f"{name} {sentence}", field=f"question.generation.{name}"
        )

    temperature = generation.temperature
    if temperature is not None and not 0 <= temperature <= 2:
        raise refuse("temperature", "must be between 0 and 2")
    max_tokens = generation.max_tokens
    if max_tokens is not None and not 1 <= max_tokens <= limits.max_tokens:
        raise refuse("max_tokens", f"must be between 1 and {limits.max_tokens}")
    if generation.top_p is not None and not 0 < generation.top_p <= 1:
        raise refuse("top_p", "must be above 0 and at most 1")
    if generation.seed is not None and generation.seed > LARGEST_SEED:
        raise refuse("seed", f"must be at most {LARGEST_SEED}")
    if len(generation.stop) > limits.stops:
        raise refuse("stop", f"may have at most {limits.stops} strings")
    if any(not 1 <= len(stop) <= limits.stop_characters for stop in generation.stop):
        raise refuse("stop", f"strings must have 1 to {limits.stop_characters} characters")
    if generation.json_schema:
        _check_schema(generation.json_schema, limits)


def _check_schema(text: str, limits: Limits) -> None:
    name = "question.generation.json_schema"
    if len(text.encode()) > limits.schema_bytes:
        raise KefuError(
            Reason.SCHEMA_INVALID,
            f"the JSON schema is longer than {limits.schema_bytes} bytes",
            field=name,
            limit=limits.schema_bytes,
            unit="bytes",
        )
    try:
        schema = json.loads(text)
    except ValueError:
        schema = None
    if not isinstance(schema, dict):
        raise KefuError(Reason.SCHEMA_INVALID, "the JSON schema is not a JSON object", field=name)
