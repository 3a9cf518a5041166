"""From what a caller has (paths, bytes, words) to the messages of kefu.chat.v1."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

from kefu.chat.v1.question_pb2 import Generation, Part, Picture, Question
from kefu.media.v1.picture_pb2 import CropMode
from kefu_client.channel import MESSAGE_BYTES
from kefu_client.errors import InputError

Crop = Literal["auto", "force", "forbid"]
_CROP_MODES: Mapping[Crop, CropMode] = {
    "auto": CropMode.CROP_MODE_AUTO,
    "force": CropMode.CROP_MODE_FORCE,
    "forbid": CropMode.CROP_MODE_FORBID,
}


class Settings(TypedDict, total=False):
    """Everything that may stand beside the parts of a question; question.proto gives each field's limits."""

    session_id: str
    """The conversation; empty: a one-off."""
    request_id: str
    """Makes the call idempotent; empty: `KefuClient` chooses one."""
    model: str
    """Who answers; empty: the server's default."""
    scenario: str
    """Which prompt and rules apply; empty: the server's default."""
    more_to_come: bool
    """Hold the answer: more parts of this question follow at once."""
    temperature: float | None
    """Randomness, 0 to 2."""
    max_tokens: int | None
    """Most tokens of the answer."""
    top_p: float | None
    """Nucleus sampling, above 0 to 1."""
    seed: int | None
    """The same seed gives the same answer."""
    stop: Sequence[str]
    """The answer ends before any of these."""
    json_schema: str | Mapping[str, Any]
    """A JSON schema that the answer must satisfy, as JSON text or as a mapping."""
    context: Mapping[str, Any]
    """Facts about the customer or the order."""
    debug: bool
    """Return what helps to understand the answer."""
    language: str
    """Of the answer and of advice, BCP 47."""


def picture(
    source: str | os.PathLike[str] | bytes,
    *,
    media_type: str = "",
    crop: Crop = "auto",
    elements: bool = False,
) -> Part:
    """A picture, or a PDF document, as a part of a question: from a path, or from bytes that are already there.

        picture("order.png")
        picture("invoice.pdf")  # every page of it becomes a picture
        picture(upload.read(), media_type="image/png", crop="forbid")

    JPEG, PNG, WebP, BMP or PDF, at most 20 MiB; the server looks at the bytes and refuses anything else. `crop` says
    whether system bars may be cut off; `elements` asks for the numbered elements of a screen. Raises OSError when the
    file cannot be read, and InputError when it is larger than any message may be.
    """
    if isinstance(source, bytes):
        data = source
        _check_size("the picture", len(data))
    else:
        path = Path(source)
        # Looked at before it is read: a film given by mistake does not go through memory first.
        _check_size(str(path), path.stat().st_size)
        data = path.read_bytes()
    message = Picture(
        data=data, media_type=media_type, crop_mode=_CROP_MODES[crop], find_elements=elements
    )
    return Part(picture=message)


def uploaded(upload_id: str, *, crop: Crop = "auto", elements: bool = False) -> Part:
    """A picture or a document that was uploaded before, as a part of a question.

        kefu.ask("多少钱?", uploaded(kefu.upload("invoice.pdf").upload_id))

    The server says UPLOAD_NOT_FOUND when there is no such upload, or no longer.
    """
    message = Picture(upload_id=upload_id, crop_mode=_CROP_MODES[crop], find_elements=elements)
    return Part(picture=message)


def question(*parts: str | Part, **settings: Unpack[Settings]) -> Question:
    """A question: text and pictures in the order in which the customer sent them.

        question("为什么被拒?", picture("refund.png"), temperature=0, session_id="c-17")

    Raises InputError for a setting that has a wrong type or does not fit its field; whether a value is allowed is the
    server's to say.
    """
    try:
        message = _words(parts, settings)
        # An absent message means "all defaults" to the server, so an empty one is not sent.
        generation = _generation(settings)
    except UnicodeEncodeError:
        # Half of a surrogate pair: what Python makes of an argument or a file name that is not UTF-8.
        raise InputError("a text has characters that are not valid Unicode") from None
    if generation.ByteSize():
        message.generation.CopyFrom(generation)
    context = settings.get("context")
    if context:
        try:
            message.context.update(context)
        except (TypeError, ValueError):
            raise InputError("context: it must be made of what JSON has") from None
    return message


def _words(parts: Sequence[str | Part], settings: Settings) -> Question:
    return Question(
        parts=[Part(text=part) if isinstance(part, str) else part for part in parts],
        session_id=settings.get("session_id", ""),
        request_id=settings.get("request_id", ""),
        model=settings.get("model", ""),
        scenario=settings.get("scenario", ""),
        more_to_come=settings.get("more_to_come", False),
        debug=settings.get("debug", False),
        language=settings.get("language", ""),
    )


def _generation(settings: Settings) -> Generation:
    generation = Generation(stop=settings.get("stop", ()))
    schema = settings.get("json_schema", "")
    generation.json_schema = schema if isinstance(schema, str) else json.dumps(schema)
    for name, value in (
        ("temperature", settings.get("temperature")),
        ("max_tokens", settings.get("max_tokens")),
        ("top_p", settings.get("top_p")),
        ("seed", settings.get("seed")),
    ):
        if value is None:
            continue
        try:
            setattr(generation, name, value)
        except (TypeError, ValueError):
            raise InputError(f"{name}: {value!r} is not a value that it can have") from None
    return generation


def _check_size(name: str, size: int) -> None:
    if size > MESSAGE_BYTES:
        raise InputError(
            f"{name}: {size / 2**20:.1f} MiB is too large for a picture (at most 20 MiB)"
        )
