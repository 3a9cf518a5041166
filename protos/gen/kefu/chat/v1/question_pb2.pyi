from google.protobuf import struct_pb2 as _struct_pb2
from kefu.media.v1 import picture_pb2 as _picture_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Question(_message.Message):
    __slots__ = ("session_id", "request_id", "model", "scenario", "parts", "more_to_come", "generation", "context", "debug", "language")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SCENARIO_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    MORE_TO_COME_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    DEBUG_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    request_id: str
    model: str
    scenario: str
    parts: _containers.RepeatedCompositeFieldContainer[Part]
    more_to_come: bool
    generation: Generation
    context: _struct_pb2.Struct
    debug: bool
    language: str
    def __init__(self, session_id: _Optional[str] = ..., request_id: _Optional[str] = ..., model: _Optional[str] = ..., scenario: _Optional[str] = ..., parts: _Optional[_Iterable[_Union[Part, _Mapping]]] = ..., more_to_come: _Optional[bool] = ..., generation: _Optional[_Union[Generation, _Mapping]] = ..., context: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., debug: _Optional[bool] = ..., language: _Optional[str] = ...) -> None: ...

class Part(_message.Message):
    __slots__ = ("text", "picture")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    text: str
    picture: Picture
    def __init__(self, text: _Optional[str] = ..., picture: _Optional[_Union[Picture, _Mapping]] = ...) -> None: ...

class Picture(_message.Message):
    __slots__ = ("data", "upload_id", "url", "media_type", "crop_mode", "find_elements")
    DATA_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    CROP_MODE_FIELD_NUMBER: _ClassVar[int]
    FIND_ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    upload_id: str
    url: str
    media_type: str
    crop_mode: _picture_pb2.CropMode
    find_elements: bool
    def __init__(self, data: _Optional[bytes] = ..., upload_id: _Optional[str] = ..., url: _Optional[str] = ..., media_type: _Optional[str] = ..., crop_mode: _Optional[_Union[_picture_pb2.CropMode, str]] = ..., find_elements: _Optional[bool] = ...) -> None: ...

class Generation(_message.Message):
    __slots__ = ("temperature", "max_tokens", "top_p", "seed", "stop", "json_schema")
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    JSON_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    temperature: float
    max_tokens: int
    top_p: float
    seed: int
    stop: _containers.RepeatedScalarFieldContainer[str]
    json_schema: str
    def __init__(self, temperature: _Optional[float] = ..., max_tokens: _Optional[int] = ..., top_p: _Optional[float] = ..., seed: _Optional[int] = ..., stop: _Optional[_Iterable[str]] = ..., json_schema: _Optional[str] = ...) -> None: ...
