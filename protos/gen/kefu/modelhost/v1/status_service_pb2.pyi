from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HostedState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HOSTED_STATE_UNSPECIFIED: _ClassVar[HostedState]
    HOSTED_STATE_WAITING: _ClassVar[HostedState]
    HOSTED_STATE_LOADING: _ClassVar[HostedState]
    HOSTED_STATE_READY: _ClassVar[HostedState]
    HOSTED_STATE_LOST: _ClassVar[HostedState]
    HOSTED_STATE_FAILED: _ClassVar[HostedState]
HOSTED_STATE_UNSPECIFIED: HostedState
HOSTED_STATE_WAITING: HostedState
HOSTED_STATE_LOADING: HostedState
HOSTED_STATE_READY: HostedState
HOSTED_STATE_LOST: HostedState
HOSTED_STATE_FAILED: HostedState

class HostedModel(_message.Message):
    __slots__ = ("name", "state", "state_milliseconds", "advice")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATE_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: HostedState
    state_milliseconds: int
    advice: str
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[HostedState, str]] = ..., state_milliseconds: _Optional[int] = ..., advice: _Optional[str] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[HostedModel]
    def __init__(self, models: _Optional[_Iterable[_Union[HostedModel, _Mapping]]] = ...) -> None: ...
