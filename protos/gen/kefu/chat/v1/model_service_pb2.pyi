from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModelState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_STATE_UNSPECIFIED: _ClassVar[ModelState]
    MODEL_STATE_READY: _ClassVar[ModelState]
    MODEL_STATE_LOADING: _ClassVar[ModelState]
    MODEL_STATE_UNAVAILABLE: _ClassVar[ModelState]
MODEL_STATE_UNSPECIFIED: ModelState
MODEL_STATE_READY: ModelState
MODEL_STATE_LOADING: ModelState
MODEL_STATE_UNAVAILABLE: ModelState

class Model(_message.Message):
    __slots__ = ("name", "description", "engine", "state", "context_tokens", "max_pictures", "max_pixels", "licence", "sees", "is_default", "state_milliseconds", "advice")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_PICTURES_FIELD_NUMBER: _ClassVar[int]
    MAX_PIXELS_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    SEES_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    STATE_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    engine: str
    state: ModelState
    context_tokens: int
    max_pictures: int
    max_pixels: int
    licence: str
    sees: _containers.RepeatedScalarFieldContainer[str]
    is_default: bool
    state_milliseconds: int
    advice: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., engine: _Optional[str] = ..., state: _Optional[_Union[ModelState, str]] = ..., context_tokens: _Optional[int] = ..., max_pictures: _Optional[int] = ..., max_pixels: _Optional[int] = ..., licence: _Optional[str] = ..., sees: _Optional[_Iterable[str]] = ..., is_default: _Optional[bool] = ..., state_milliseconds: _Optional[int] = ..., advice: _Optional[str] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("picture_bytes", "picture_pixels", "parts", "pictures", "message_bytes", "turn_milliseconds", "media_types")
    PICTURE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PICTURE_PIXELS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TURN_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPES_FIELD_NUMBER: _ClassVar[int]
    picture_bytes: int
    picture_pixels: int
    parts: int
    pictures: int
    message_bytes: int
    turn_milliseconds: int
    media_types: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, picture_bytes: _Optional[int] = ..., picture_pixels: _Optional[int] = ..., parts: _Optional[int] = ..., pictures: _Optional[int] = ..., message_bytes: _Optional[int] = ..., turn_milliseconds: _Optional[int] = ..., media_types: _Optional[_Iterable[str]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "limits")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    limits: Limits
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...
