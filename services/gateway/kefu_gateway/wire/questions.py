"""Questions from the wire to the domain."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format

from kefu.chat.v1 import question_pb2 as pb
from kefu.media.v1 import picture_pb2
from kefu_common.errors import KefuError, Reason
from kefu_gateway.domain.question import (
    CropMode,
    Generation,
    Part,
    PicturePart,
    Question,
    TextPart,
)

_CROP_MODES = {
    picture_pb2.CROP_MODE_UNSPECIFIED: CropMode.AUTO,
    picture_pb2.CROP_MODE_AUTO: CropMode.AUTO,
    picture_pb2.CROP_MODE_FORCE: CropMode.FORCE,
    picture_pb2.CROP_MODE_FORBID: CropMode.FORBID,
}


def question_from_proto(
    question: pb.Question, *, request_id: str, tenant: str = "", streamed: bool = True
) -> Question:
    """`request_id` is taken where the question brings none; `streamed`: its caller reads along. Raises KefuError for
    what the domain cannot even hold."""
    return Question(
        request_id=question.request_id or request_id,
        session_id=question.session_id,
        tenant=tenant,
        model=question.model,
        scenario=question.scenario,
        parts=tuple(_part(index, part) for index, part in enumerate(question.parts)),
        more_to_come=question.more_to_come,
        generation=_generation(question.generation),
        context=json_format.MessageToDict(question.context),
        debug=question.debug,
        language=question.language,
        chosen_id=bool(question.request_id),
        streamed=streamed,
    )


def _part(index: int, part: pb.Part) -> Part:
    kind = part.WhichOneof("content")
    if kind == "text":
        return TextPart(part.text)
    if kind == "picture":
        return _picture(index, part.picture)
    raise KefuError(
        Reason.FIELD_INVALID,
        "a part must be either text or a picture",
        field=f"question.parts[{index}]",
    )


def _picture(index: int, picture: pb.Picture) -> PicturePart:
    field = f"question.parts[{index}].picture"
    source = picture.WhichOneof("source")
    if source is None:
        raise KefuError(
            Reason.PICTURE_EMPTY, "the picture has no source: send its bytes", field=f"{field}.data"
        )
    if picture.crop_mode not in _CROP_MODES:
        raise KefuError(
            Reason.FIELD_INVALID, "there is no such crop mode", field=f"{field}.crop_mode"
        )
    given: dict[str, Any] = {source: getattr(picture, source)}
    return PicturePart(
        **given,
        media_type=picture.media_type,
        crop_mode=_CROP_MODES[picture.crop_mode],
        find_elements=picture.find_elements,
    )


def _generation(generation: pb.Generation) -> Generation:
    def optional(name: str) -> Any:
        return getattr(generation, name) if generation.HasField(name) else None

    return Generation(
        temperature=optional("temperature"),
        max_tokens=optional("max_tokens"),
        top_p=optional("top_p"),
        seed=optional("seed"),
        stop=tuple(generation.stop),
        json_schema=generation.json_schema,
    )
